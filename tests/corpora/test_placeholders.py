"""What a chat program notes in place of a message is no utterance, whatever its language."""

import pytest

from eacl_jax.corpora.forms import read_record
from eacl_jax.corpora.placeholders import is_note, says_nothing, warn_of_notes
from eacl_jax.corpora.transcripts import read_transcript
from eacl_jax.dialogue import Utterance

IPHONE = "[12.05.24, 10:31:22] Ann: {}\n[12.05.24, 10:32:22] Ben: so"
ANDROID = "12/05/2024, 10:31 - Ann: {}\n12/05/2024, 10:32 - Ben: so"


def read(text):
    return [(u.speaker, u.text) for u in read_transcript(text).utterances]


@pytest.mark.parametrize(
    "note",
    [
        "\u200eBild weggelassen",
        "\u200eimagen omitida",
        "\u200ekuva jätetty pois",  # a language that is not listed
        "\u200eVáš bezpečnostní kód se změnil.",
        "\u200ePOLL:\n\u200eOPTION: late (0 votes)",
    ],
)
def test_a_mark_of_direction_begins_what_the_program_notes(note):
    assert read(IPHONE.format(note)) == read(ANDROID.format(note)) == [("Ben", "so")]


@pytest.mark.parametrize(
    "note",
    [
        "<Media omitted>",
        "<Medien ausgeschlossen>",
        "<Médias omis>",
        "<Multimedia omitido>",
        "<Mídia oculta>",
        "<Media omessi>",
        "<Media weggelaten>",
        "<Без медиафайлов>",
        "<Medya dahil edilmedi>",
        "<pominięto multimedia>",
        "<Media tidak disertakan>",
        "‹省略多媒体文件›",
        "‹省略多媒体文件>",
        "<メディアは含まれていません>",
        "audio omitido",
        "Bild weggelassen",
        "image absente",
        "immagine omessa",
        "изображение отсутствует",
        "IMG-1.jpg (Datei angehängt)",
        "This message was deleted.",
        "You deleted this message",
        "Diese Nachricht wurde gelöscht.",
        "Vous avez supprimé ce message",
        "Eliminaste este mensaje.",
        "Se eliminó este mensaje.",
        "Mensagem apagada",
        "Questo messaggio è stato eliminato",
        "Dit bericht is verwijderd.",
        "Данное сообщение удалено",
        "Bu mesaj silindi",
        "Pesan ini telah dihapus",
        "تم حذف هذه الرسالة",
        "यह मैसेज डिलीट किया गया",
        "此消息已删除",
        "このメッセージは削除されました",
        "Missed voice call",
        "Missed video call at 10:31 AM",
        "Verpasster Sprachanruf",
        "Appel vocal manqué",
        "Waiting for this message…",
        "Waiting for this message. This may take a while.",
        "null",
    ],
)
def test_notes_by_their_words(note):
    assert read(ANDROID.format(note)) == [("Ben", "so")]


@pytest.mark.parametrize(
    "text",
    [
        "I deleted this message",
        "the image omitted a lot",
        "Null!",
        "I missed the voice call",
        "<so late>",
        "\u200fשלום",
    ],
)
def test_what_somebody_says(text):
    assert len(read(ANDROID.format(text))) == 2
    assert not says_nothing(text)


def test_what_stands_beside_a_note_is_kept():
    assert read(IPHONE.format("I am late \u200e<This message was edited>"))[0][1] == "I am late"
    assert read(IPHONE.format("\u200eimage omitted\nlook at this"))[0][1] == "look at this"


@pytest.mark.parametrize(
    "chat",
    [
        "10:31\tAnn\t[Sticker]\n10:32\tAnn\t☎ Call time 0:37\n10:33\tBen\tsee you there",
        "[Ann] [10:31 AM] Photo\n[Ann] [오전 10:31] 사진 2장\n[Ben] [10:33 AM] see you there",
        "Ann 2024-05-12 10:31:05\n[图片]\n\nBen 2024-05-12 10:31:25\nsee you there",
        "2024년 5월 12일 오전 10:31, Ann : 사진\n2024년 5월 12일 오전 10:32, Ben : see you there",
    ],
)
def test_pictures_of_other_programs(chat):
    assert read(chat) == [("Ben", "see you there")]


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("File: where did you put it?", True),
        ("File: notes.pdf is lost", True),
        ("contact: ask Bob, he knows", True),
        ("Map: here", True),
        ("파일: 어디에 있어?", True),
        ("지도: 여기", True),
        ("연락처: 너한테 줄까?", True),
        ("보이스톡 할까?", True),
        ("File: notes.pdf", False),
        ("파일: 회의 자료.hwp", False),
        ("지도: 서울 강남구 테헤란로 123", False),
        ("연락처: 010-1234-5678", False),
        ("보이스톡 해요", False),
        ("페이스톡 3:15", False),
    ],
)
def test_what_begins_as_an_attachment(text, spoken):
    expected = [("Ann", text), ("Ben", "so")]
    assert read(f"[Ann] [10:31 AM] {text}\n[Ben] [10:33 AM] so") == (
        expected if spoken else expected[1:]
    )


def test_emojis_are_kept():
    assert (
        read("Ann 2024-05-12 10:31:05\n[Smile]\n\nBen 2024-05-12 10:31:25\nso")[0][1] == "[Smile]"
    )


@pytest.mark.parametrize(
    ("speaker", "text", "expected"),
    [
        ("Ann", "<Media omitted>", True),
        ("Ann", "[Sticker]", True),
        ("Ann", "[Smile]", False),
        ("System", "Ann joined the chat", True),
        ("system", "Ann left.", True),
        ("SYSTEM", "Chat was transferred to Ben", True),
        ("Ann", "Ben joined the chat", False),
        ("System", "Which train have you left on?", False),
        ("SYSTEM", "I booked a table for two. Anything else?", False),
    ],
)
def test_notes_in_tables(speaker, text, expected):
    assert is_note(Utterance(speaker, text)) is expected


def test_notes_in_tables_are_counted(caplog):
    warn_of_notes([Utterance("Ann", "null"), Utterance("Ann", "Missed voice call")], "train")
    assert caplog.messages == [
        "train: 1 text is what a chat program notes, such as 'Missed voice call', which nobody says,"
        " and read as any other: leave such utterances out."
    ]


def test_notes_that_are_left_out_of_a_transcript_are_counted(caplog):
    read_record({"transcript": ANDROID.format("<Media omitted>")}, "record 1")
    read("[Ann] [10:31 AM] Photo\n[Ben] [10:32 AM] Photo")
    assert caplog.messages == [
        "record 1: field 'transcript': 1 message of a chat was left out, as pictures and the"
        " program's notes",
        "the text: 2 messages of a chat were left out, as pictures and the program's notes, and no"
        " utterance is left",
    ]
