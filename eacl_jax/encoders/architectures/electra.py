"""ELECTRA's encoder (arXiv 2003.10555), of discriminators and generators."""

from typing import Any, ClassVar, Self

from eacl_jax.encoders.architectures.bert import BertEncoder, bert_names
from eacl_jax.encoders.fields import Fields
from eacl_jax.encoders.layers import Shape
from eacl_jax.encoders.weights.names import NameTable


class ElectraEncoder(BertEncoder):
    """BERT with embeddings of their own width, which are projected to the hidden size."""

    names: ClassVar[NameTable] = bert_names("electra")
    takes_prefix: ClassVar[bool] = False

    @classmethod
    def from_config(cls, fields: Fields, **options: Any) -> Self:
        shape = Shape.read(fields, pad_token_id=0)
        embedding_size = fields.integer("embedding_size", 128)
        fields.check()
        return cls(shape, position_offset=0, embedding_size=embedding_size, **options)
