"""What stands in a chat's export for a message in which nobody says anything: a picture that was
left out, a message that was deleted, a call that was missed, and what the program notes itself.

WhatsApp puts a mark of direction, U+200E, before whatever it notes itself, on iPhones in all
languages. Elsewhere its words are listed, for the most frequent languages.
"""

import logging
import re
from collections.abc import Iterable, Sequence

from eacl_jax.corpora.messengers import BRACKETS, COLUMNS
from eacl_jax.corpora.names import AROUND
from eacl_jax.dialogue import Utterance, counted

logger = logging.getLogger(__name__)

_NOTE = "\u200e"
# From the first blank of several on, as `names.AROUND`.
_EDITED = re.compile(rf"(?<!\s)\s*+(?:{_NOTE}<[^<>]{{1,60}}>|<This message was edited>)$")

# Media that were not exported, in angle brackets, by language.
_MEDIA = (
    r"media omitted|view once (?:voice message|photo|video) omitted|attached: [^<>]*",  # English
    r"medien? (?:ausgeschlossen|weggelassen)|angehängt: [^<>]*",  # German
    r"m[ée]dias? omis(?:es?)?|fichiers? omis|pièce jointe : [^<>]*",  # French
    r"(?:archivo |contenido )?multimedia omitido|archivo omitido|adjunto: [^<>]*",  # Spanish
    r"m[ií]dia (?:oculta|omitida)|arquivos? de mídia oculto|ficheiro não revelado"
    r"|anexado: [^<>]*",  # Portuguese
    r"media omess[io]|allegato: [^<>]*",  # Italian
    r"media weggelaten|bijgevoegd: [^<>]*",  # Dutch
    r"без медиафайлов|медиафайл пропущен|файл пропущен|прикреплено: [^<>]*",  # Russian
    r"medya (?:dahil edilmedi|atlanmış|atlandı)",  # Turkish
    r"pominięto multimedia|multimedia pominięte|plik (?:został )?pominięty",  # Polish
    r"media tidak disertakan|media dihilangkan",  # Indonesian
    r"تم استبعاد الوسائط|الوسائط غير مضمنة",  # Arabic
    r"मीडिया (?:के बिना|छोड़ा गया|शामिल नहीं (?:की गई|किया गया))",  # Hindi
    r"省略多媒体文件|忽略多媒體檔|媒體已略去|已省略媒体",  # Chinese
    r"メディア(?:は含まれていません|省略|なし)",  # Japanese
    r"미디어(?: 파일)?(?:을|를)? ?(?:제외했습니다|제외됨|생략됨)",  # Korean
)
# Without brackets, by kind: pictures and the like, as iPhones name them.
_LEFT_OUT = (
    r"(?:image|video|audio|sticker|gif|document|contact card|video note) omitted",
    r"(?:bild|video|audio|sticker|gif|dokument|kontaktkarte|videonachricht) weggelassen",
    r"(?:image|vid[ée]o|audio|sticker|gif|document|fiche contact) (?:absente?|omise?"
    r"|retirée?|manquante?)",
    r"(?:imagen|v[íi]deo|audio|sticker|gif|documento|tarjeta de contacto) omitid[oa]",
    r"(?:imagem|v[íi]deo|[áa]udio|figurinha|gif|documento|cartão d[eo] contat?c?to)"
    r" (?:omitid[oa]|ocult[oa]|ocultad[oa]|não revelad[oa])",
    r"(?:immagine|video|audio|sticker|gif|documento|scheda contatto) omess[oa]",
    r"(?:afbeelding|video|audio|sticker|gif|document|contactkaart) weggelaten",
    r"(?:изображение|видео|аудио|стикер|gif|документ|анимация|карточка контакта)"
    r" (?:пропущен[оа]?|опущен[оа]?|отсутствует|не включен[оа]?)",
    r"(?:görüntü|video|ses|çıkartma|gif|belge|kişi kartı) dahil edilmedi",
    r"pominięto (?:obraz|grafikę|wideo|film|audio|naklejkę|gif|dokument)|"
    r"(?:obraz|wideo|audio|naklejka|gif|dokument) pominięt[yoa]",
    r"(?:gambar|foto|video|audio|stiker|gif|dokumen) tidak disertakan",
    r"(?:忽略|已?省略)(?:图片|图像|圖片|视频|影片|音频|音訊|贴图|貼圖|文档|文件)|(?:图片"
    r"|图像|圖片|视频|影片|音频|音訊|贴图|貼圖|文档|文件)已?(?:忽略|省略|略去)",
    r"(?:画像|動画|ビデオ|音声|オーディオ|ステッカー|スタンプ|gif|文書"
    r"|ドキュメント)(?:は含まれていません|を?省略|なし)",
    r"[^\s<>]+ \((?:file attached|datei angehängt|fichier joint|archivo adjunto"
    r"|arquivo anexado|ficheiro anexado|file"
    r" allegato|bestand bijgevoegd|файл добавлен|dosya ekli|załączono plik|file terlampir"
    r"|文件附件|檔案已附加|ファイル添付)\)",
)
_DELETED = (
    r"this message was deleted(?: by admin [^.]{1,60})?|you deleted this message(?: as admin)?",
    r"diese nachricht wurde gelöscht|du hast diese nachricht gelöscht",
    r"ce message a été supprimé|vous avez supprimé ce message",
    r"(?:se (?:ha )?elimin(?:ó|ado)|eliminaste|has eliminado) este mensaje"
    r"|este mensaje (?:fue eliminado|se eliminó)",
    r"mensagem apagada|(?:esta )?mensagem foi (?:apagada|eliminada)"
    r"|(?:você )?apagou esta mensagem|eliminou esta mensagem",
    r"questo messaggio è stato eliminato|hai eliminato questo messaggio",
    r"dit bericht is verwijderd|(?:je hebt|u hebt|u heeft) dit bericht verwijderd",
    r"(?:данное |это )?сообщение удалено|вы удалили (?:данное|это) сообщение",
    r"bu mesaj silindi|bu mesajı sildiniz",
    r"(?:ta )?wiadomość (?:została )?usunięta|usunięto tę wiadomość|usunąłeś tę wiadomość",
    r"pesan ini (?:telah )?dihapus|anda (?:telah )?menghapus pesan ini",
    r"(?:لقد )?(?:تم حذف|حذفت) هذه الرسالة",
    r"(?:यह|आपने यह) (?:मैसेज|संदेश) (?:डिलीट किया(?: गया)?|हटा दिया(?: गया)?)",
    r"(?:此|该|這則|这条)(?:消息|訊息)已(?:被)?(?:删除|刪除)|[您你]已?(?:删除|刪除)了?(?:此"
    r"|这条|這則)(?:消息|訊息)",
    r"(?:この)?メッセージ(?:は削除されました|を削除しました)",
    r"삭제된 메시지입니다|(?:이 )?메시지(?:는|가) 삭제되었습니다|이 메시지를 삭제했습니다",
)
_CALLS = (
    r"missed (?:group )?(?:voice |video )?call(?: at [\d:apm .]{3,12})?(?:[.,]? (?:tap"
    r"|click) to call back)?",
    r"verpasster (?:gruppen)?(?:sprach|video)?-?anruf(?: um [\d:]{4,8})?",
    r"appel (?:(?:vocal|vidéo) )?manqué(?: à [\d:]{4,8})?",
    r"(?:video)?llamada (?:de (?:voz|video) |grupal )?perdida(?: a las [\d:]{4,8})?",
    r"(?:ligação|chamada) de (?:voz|vídeo) perdida(?: às [\d:]{4,8})?",
    r"(?:video)?chiamata (?:vocale |video )?persa(?: alle [\d:]{4,8})?",
    r"gemiste (?:spraak|video)?oproep(?: om [\d:]{4,8})?",
    r"пропущенный (?:аудио|видео)?(?:звонок|вызов)|пропущенный голосовой вызов",
    r"未接(?:语音|視訊|视频|語音)?(?:通话|通話|来电|來電)",
    r"不在着信",
    r"부재중 (?:음성|영상)? ?(?:통화|전화)",
)
_WAITING = (
    r"waiting for this message(?:…|\.{1,3})?(?: this may take a while)?",
    r"(?:warte auf diese nachricht|auf diese nachricht (?:wird gewartet|warten))(?:…"
    r"|\.{1,3})?(?: dies kann .{1,40})?",
    r"en attente de ce message(?:…|\.{1,3})?(?: cela peut .{1,40})?",
    r"esperando (?:el|este) mensaje(?:…|\.{1,3})?(?: esto puede .{1,40})?",
    r"aguardando (?:esta )?mensagem(?:…|\.{1,3})?(?: (?:essa ação|isso|isto) pode .{1,60})?",
    r"in attesa (?:del|di questo) messaggio(?:…|\.{1,3})?(?: .{1,60})?",
)
_NOTED = (
    r"(?:messages and calls|messages to this (?:chat"
    r"|group)) are (?:now )?(?:end-to-end encrypted|secured).*",
    r"nachrichten und anrufe sind ende-zu-ende-verschlüsselt.*",
)
_ALONE = "|".join((*_LEFT_OUT, *_DELETED, *_CALLS, *_WAITING))
_NO_TEXT = re.compile(
    rf"[<‹](?:{'|'.join(_MEDIA)})[>›]|(?:{_ALONE})[.。]?|{'|'.join(_NOTED)}",
    re.IGNORECASE | re.DOTALL,
)
# In brackets, as WeChat and LINE have them; other words there are emojis, `[Smile]`.
_BRACKETED = re.compile(
    r"\[(?:photos?|images?|pictures?|video|videos|sticker|stickers|animated sticker|file"
    r"|voice(?: message)?|audio"
    r"|location|contact|album|note|link|voice call|video call|transfer|red packet"
    r"|写真|画像|動画|スタンプ|ファイル|ボイスメッセージ|位置情報|連絡先|アルバム|ノート"
    r"|图片|照片|圖片|视频|影片|貼圖|贴图|动画表情|語音訊息|语音|檔案|文件|位置|位置訊息"
    r"|链接|名片|聊天记录|转账|红包|語音通話|语音通话|视频通话"
    r"|사진|동영상|스티커|파일|음성 메시지|위치|รูป|สติกเกอร์|วิดีโอ|ไฟล์|stiker|foto)\]"
    r"|☎.{0,40}",
    re.IGNORECASE,
)
# Alone, as KakaoTalk has them. Behind the word for a file, a map or a contact, only what nobody
# would say of one: a file's name, a link or an address in Korea, a card or a number.
_ENDINGS = (
    r"jpe?g|png|gif|webp|heic|bmp|tiff?|mp[34]|m4a|mov|avi|mkv|wav|ogg|aac|pdf|docx?|xlsx?|pptx?"
    r"|hwpx?|txt|csv|zip|rar|7z|apk|vcf|ics|psd"
)
_CALLED = r"(?:해요|취소|부재중|종료|거절|응답\s?없음|응답\s?안\s?함|\d{1,2}(?::\d{2}){1,2})[.]?"
_WORDS = re.compile(
    rf"(?:파일|file): (?:\S{{1,150}}\.[a-z0-9]{{2,5}}|[^\n]{{1,150}}\.(?:{_ENDINGS}))"
    r"|(?:지도|map): (?:https?://\S{1,200}|(?:[가-힣]{1,10}\s){1,5}[가-힣]{1,10}\s?\d[\d-]{0,8})"
    r"|(?:연락처|contact): (?:[^\n]{1,60}\.vcf|[+\d][\d\s()-]{6,20}\d)"
    rf"|(?:보이스톡|페이스톡) {_CALLED}"
    r"|사진(?: \d+장)?|동영상|이모티콘|음성메시지"
    r"|삭제된 메시지입니다\.?|photos?|\d+ photos|video|emoticons?|voice message"
    r"|(?:this )?message (?:was )?deleted\.?",
    re.IGNORECASE,
)
# Names under which chat programs note something; a dialogue system that speaks has them, too.
_SYSTEM = frozenset(
    ("system", "sistema", "système", "系统", "系統", "システム", "시스템", "whatsapp")
)
_EVENT = re.compile(
    r".{1,80}\b(?:joined|left|was (?:added|removed)|entered|disconnected)"
    r"(?: (?:the|this) (?:chat|conversation|group|call|meeting|channel|room|session))?[.!]?"
    r"|.{1,80}\b(?:added|invited|removed) .{1,80}"
    r"|(?:the |this )?(?:chat|conversation|call|session)(?: (?:was|has been|is))?"
    r" (?:started|ended|closed|transferred|assigned)\b.{0,80}",
    re.IGNORECASE,
)
_LONGEST, _HANGUL = 500, re.compile(r"[가-힣]")


def says_nothing(text: str) -> bool:
    """Whether a message of an export is a picture or the like, was deleted, or is the chat
    program's own.
    """
    return len(text) < _LONGEST and bool(_NO_TEXT.fullmatch(AROUND.sub("", text)))


def spoken_in(lines: Sequence[str], style: str) -> list[str]:
    """The lines of an export's message without those in which nobody says anything.

    Args:
      lines: of it.
      style: `messengers.COLUMNS`, which WeChat's has no other placeholders than, `BRACKETS`, or
        another one with the date before each message.
    """
    if style == COLUMNS:
        return [line for line in lines if not (len(line) < _LONGEST and _BRACKETED.fullmatch(line))]
    if style == BRACKETS:
        return list(lines[1:] if lines and _is_attached(lines[0]) else lines)
    kept = [_EDITED.sub("", line) for line in lines if not line.startswith(_NOTE)]
    # `null`: what was to be seen once.
    if not kept or lines[0].startswith(_NOTE):
        return kept
    korean = bool(_HANGUL.search(kept[0]))  # KakaoTalk's, from phones
    nothing = says_nothing(kept[0]) or kept[0] == "null" or (korean and _is_attached(kept[0]))
    return kept[1:] if nothing else kept


def _is_attached(text: str) -> bool:
    return len(text) < _LONGEST and bool(_WORDS.fullmatch(text))


def is_note(utterance: Utterance) -> bool:
    """Whether an utterance, of a table or of JSON, is what a chat program puts in place of one:
    `<Media omitted>`, or by *System* that somebody joined the chat.
    """
    text = utterance.text
    if len(text) > _LONGEST:
        return False
    if says_nothing(text) or _BRACKETED.fullmatch(text):
        return True
    return utterance.speaker.casefold() in _SYSTEM and bool(_EVENT.fullmatch(text))


def about_notes(utterances: Iterable[Utterance]) -> str:
    """What to say of utterances that are notes of a chat program; empty where none is."""
    found = [each.text for each in utterances if is_note(each)]
    if not found:
        return ""
    return (
        f"{counted(len(found), 'text is', 'texts are')} what a chat program notes, such as"
        f" {found[0]!r:.60}, which nobody says, and read as any other: leave such utterances out."
    )


def warn_of_notes(utterances: Iterable[Utterance], where: str = "") -> None:
    """Logs how many utterances are notes of a chat program.

    Args:
      utterances: all of them.
      where: what the message begins with, as the name of a split.
    """
    if message := about_notes(utterances):
        logger.warning("%s%s", where and f"{where}: ", message)
