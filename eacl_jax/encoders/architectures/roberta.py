"""RoBERTa (arXiv 1907.11692), and XLM-R and CamemBERT, which are built like it."""

from typing import Any, ClassVar, Self

from eacl_jax.encoders.architectures.bert import BertEncoder, bert_names
from eacl_jax.encoders.fields import Fields
from eacl_jax.encoders.layers import Shape
from eacl_jax.encoders.weights.names import NameTable


class RobertaEncoder(BertEncoder):
    """BERT whose positions start behind the padding token's id."""

    names: ClassVar[NameTable] = bert_names("roberta")

    @classmethod
    def from_config(cls, fields: Fields, **options: Any) -> Self:
        shape = Shape.read(fields, pad_token_id=1)
        offset = shape.pad_token_id + 1
        fields.need(
            shape.position_rows > offset,
            f"'max_position_embeddings' must be above 'pad_token_id' + 1, {offset}",
        )
        fields.check()
        return cls(shape, position_offset=offset, **options)
