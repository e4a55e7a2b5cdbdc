"""An ONNX program gives the representations of the model that it is built from."""

from typing import Any

import jax
import numpy as np
import onnx
import onnxruntime
import pytest
from flax import nnx

from eacl_jax.config import ModelConfig, Readout
from eacl_jax.data.batching import Batch, collate, plan
from eacl_jax.data.prompts import Example
from eacl_jax.encoders import build, registry
from eacl_jax.encoders.architectures.bert import BertEncoder
from eacl_jax.encoders.prefix import PrefixShape
from eacl_jax.errors import UserError
from eacl_jax.model.label_words import mean_by_label
from eacl_jax.model.representer import Representer
from eacl_jax.onnx import program, quantize
from eacl_jax.onnx.openvino_session import openvino_session
from eacl_jax.onnx.session import label_anchors, session_of
from tests.stubs.encoders import CONFIGS, FORMS, rows, tiny

# Several in a row, one longer than tables of distances are, one in parts, and a row of padding.
SEGMENTS = ((5, 7, 9), (23,), (3, 4, 6), ())
READ = ((0, 4), (0, 6), (0, 20), (1, 11), (2, 2), (2, 3), (2, 12))


def batch() -> Batch:
    """Seven utterances, and one of padding."""
    inputs = rows(SEGMENTS, width=24)
    readout = np.array([*READ, (0, 0)], np.int32)
    return Batch(*inputs, readout, labels=None, weights=None)


def representer(name: str, readout: Readout = "mask", **options: Any) -> Representer:
    """Untrained, with a mapping to 12 numbers."""
    encoder = tiny(name, **options)
    return Representer.build(
        encoder, ModelConfig(mapping_dim=12), readout=readout, rngs=nnx.Rngs(1)
    )


def expected(of: Representer) -> np.ndarray:
    graphdef, params = nnx.split(of, nnx.Param)
    made = jax.jit(lambda params, given: nnx.merge(graphdef, params).represent(given))
    return np.asarray(made(params, batch()))


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model.SerializeToString())


def run(model: onnx.ModelProto, given: Batch) -> np.ndarray:
    named = {name: getattr(given, name) for name in program.INPUTS}
    return session(model).run([program.OUTPUT], named)[0]


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("name", sorted({*CONFIGS, *FORMS}))
def test_every_form_of_every_architecture(name: str) -> None:
    of = representer(name)
    found = run(program.program(of), batch())
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[:-1], expected(of)[:-1], atol=2e-5)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("name", sorted({*CONFIGS, *FORMS}))
def test_every_form_by_openvino(name: str) -> None:
    of, given = representer(name), batch()
    loaded = openvino_session(program.program(of).SerializeToString(), "float32")
    found = loaded._compute({name: getattr(given, name) for name in program.INPUTS})
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[:-1], expected(of)[:-1], atol=2e-5)


def test_an_odd_number_of_buckets_goes_on_beyond_the_farthest_distance() -> None:
    changes = {"position_buckets": 7, "max_relative_positions": 9}
    of = representer("deberta-v2", changes=changes)
    np.testing.assert_allclose(run(program.program(of), batch())[:-1], expected(of)[:-1], atol=2e-5)


@pytest.mark.parametrize("readout", ["first", "last", "mean"])
def test_every_readout(readout: Readout) -> None:
    of = representer("bert", readout, scan_layers=True)
    found = run(program.program(of), batch())
    np.testing.assert_allclose(found[:-1], expected(of)[:-1], atol=1e-5)


@pytest.mark.parametrize("prefix", [PrefixShape(3), PrefixShape(3, 8)])
def test_keys_and_values_beside_the_tokens(prefix: PrefixShape) -> None:
    of = representer("bert", prefix=prefix)
    np.testing.assert_allclose(run(program.program(of), batch())[:-1], expected(of)[:-1], atol=1e-5)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("name", ["bert", "deberta-v2", "modernbert", "mt5", "xlnet"])
def test_label_words(name: str) -> None:
    of = representer(name)
    examples = [
        Example(tokens, readout=0, label=label, dialogue="", utterance=0)
        for tokens, label in zip(
            np.split(rows(((5, 7, 9),), width=24)[0][0, :21], (5, 12)), (0, 1, 1), strict=True
        )
    ]
    layout = plan([5, 7, 9], 3, layout="padded", max_tokens=24)
    encodings = of.encode_labels(collate(examples, 3, layout))
    expected = of.mapping(mean_by_label(encodings, np.array([0, 1, 1]), 2))
    made = program.label_program(of, of.encoder)
    found = label_anchors(session_of(made.SerializeToString()), examples, 2)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_tables_of_halves_are_stored_as_such() -> None:
    of = representer("bert")
    params = nnx.to_pure_dict(nnx.state(of.encoder, nnx.Param))
    halves = jax.tree.map(lambda each: each.astype(np.float16).astype(np.float32), params)
    whole = program.label_program(of, of.encoder).SerializeToString()
    nnx.update(of.encoder, halves)
    halved = program.label_program(of, of.encoder).SerializeToString()
    assert len(halved) < len(whole) - 2000
    words = [Example(np.arange(5, dtype=np.int32), 0, 0, "", 0)]
    expected = of.mapping(
        of.encode_labels(collate(words, 1, plan([5], 1, layout="padded", max_tokens=8)))
    )
    found = label_anchors(session_of(halved), words, 1)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_an_architecture_without_a_program_is_refused() -> None:
    of = representer("bert")
    of.encoder = nnx.Module()
    with pytest.raises(UserError, match="no ONNX program for Module; use the model by JAX"):
        program.program(of)


def test_a_relative_does_not_get_its_parents_program(monkeypatch: pytest.MonkeyPatch) -> None:
    class Scaled(BertEncoder):
        def embed(self, tokens: Any, positions: Any, *, key: Any) -> Any:
            return 4.0 * super().embed(tokens, positions, key=key)

    monkeypatch.setitem(registry.ARCHITECTURES, "scaled", Scaled)
    encoder = build({**CONFIGS["bert"], "model_type": "scaled"})
    of = Representer.build(encoder, ModelConfig(), readout="mask", rngs=nnx.Rngs(1))
    with pytest.raises(UserError, match="no ONNX program for Scaled"):
        program.program(of)
    with pytest.raises(UserError, match="no ONNX program for Scaled"):
        program.label_program(of, encoder)


def quantized(of: Representer, **options: Any) -> onnx.ModelProto:
    made = program.program(of)

    def calibrate(with_outputs: onnx.ModelProto, names: Any) -> Any:
        given = batch()
        yield session(with_outputs).run(
            names, {name: getattr(given, name) for name in program.INPUTS}
        )

    return quantize.quantized(made, quantize.activation_ranges(made, calibrate), **options)


@pytest.mark.parametrize("name", ["bert", "deberta-v2", "modernbert", "mt5", "xlnet"])
def test_products_of_8_bits_are_near(name: str) -> None:
    of = representer(name)
    made, exact = quantized(of), run(program.program(of), batch())[:-1]
    kinds = [node.op_type for node in made.graph.node]
    assert kinds.count("QuantizeLinear") >= 4
    error = np.linalg.norm(run(made, batch())[:-1] - exact) / np.linalg.norm(exact)
    assert 1e-4 < error < 0.1


def test_what_is_kept_is_exact() -> None:
    of = representer("bert")
    every = quantize.products(program.program(of))
    # Queries and what follows them in the last layer, and the mapping, cost nothing: not among them.
    assert len(every) == 6 + 2
    assert [each.narrows for each in every] == [False] * 5 + [True] + [False] * 2
    made = quantized(of, keep=every)
    np.testing.assert_array_equal(run(made, batch()), run(program.program(of), batch()))


def test_an_answer_of_8_bits_does_not_depend_on_its_neighbours() -> None:
    made = quantized(representer("bert"))
    second = (each[1:2] for each in rows(SEGMENTS, width=24))
    alone = Batch(*second, np.array([[0, 11]], np.int32), labels=None, weights=None)
    np.testing.assert_allclose(run(made, alone)[0], run(made, batch())[3], atol=1e-6)
