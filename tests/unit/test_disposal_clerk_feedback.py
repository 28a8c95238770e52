"""A clerk that is trained further on what people approved replaces the old one only where it needs less editing."""

import json
import shutil
from pathlib import Path

import msgspec
import pytest
import torch
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from disposal.clerk import FOLDER, ClerkBackend, pin, verified
from disposal.clerk_feedback import FeedbackTraining, parted, train_from_feedback
from disposal.clerk_prompt import answer_from, answer_of
from disposal.clerk_train import ship
from disposal.composer import compose
from disposal.document import Bilingual, DocumentContent
from disposal.drafter import open_drafter
from disposal.errors import ModelError, TrainingError
from disposal.request import DraftRequest
from disposal.settings import DrafterSettings
from disposal.triple import Triple
from tests.unit.test_disposal_checks import request

SAID = {
    "measures": ("进入总回风巷复测。", "与读数1.4 %比较。", "派人逐一清点，不漏一人。", "3 h内写出报告。"),
    "resources": ("本班瓦检员两名",),
    "contingency": "立即报告值班矿长，由其决定撤人范围。",
    "acceptance": "值班矿长到场确认签字。",
}
ALIKE = FeedbackTraining(steps=1, least=4, batch=2, rate=1e-12)
"""A training that changes nothing: what is written in half precision is what was there."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny clerk of random weights, pinned, with the tokenizer of the one that ships."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    tokenizer = PreTrainedTokenizerFast.from_pretrained(FOLDER)
    torch.manual_seed(1)
    shape = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=32, max_position_embeddings=1024, tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
    )  # fmt: skip
    ship(folder, Qwen3ForCausalLM(shape), tokenizer)
    pin(folder)
    return folder


def approved(asked: DraftRequest) -> DocumentContent:
    """A document with the lines that this mine always writes."""
    return msgspec.structs.replace(
        compose(asked),
        measures=tuple(Bilingual(zh=line) for line in SAID["measures"]),
        resources=tuple(Bilingual(zh=line) for line in SAID["resources"]),
        contingency=Bilingual(zh=str(SAID["contingency"])),
        acceptance=Bilingual(zh=str(SAID["acceptance"])),
    )


def triples(scenes: int, each: int = 1) -> list[Triple]:
    """So many of each scene, all approved in the same words."""
    asked = request()
    return [
        Triple(f"{scene}-{n}", f"scene {scene}", "clerk", asked, compose(asked), approved(asked))
        for scene in range(scenes)
        for n in range(each)
    ]


def test_what_a_person_approved_is_learned_as_the_clerk_may_write_it() -> None:
    """Place and reading become blanks again; the line with a figure of its own is left out."""
    asked = request()
    answer = answer_of(approved(asked), asked)
    assert answer is not None
    assert json.loads(answer)["measures"] == ["进入<place>复测。", "与读数<reading>比较。", "派人逐一清点，不漏一人。"]
    assert json.loads(answer_from(answer, asked))["measures"] == list(SAID["measures"][:3])
    figures = msgspec.structs.replace(approved(asked), measures=(Bilingual(zh="3 h内写出报告。"),))
    assert answer_of(figures, asked) is None


def test_whole_scenes_are_held_back_by_the_seed() -> None:
    found = triples(10, each=3)
    settings = FeedbackTraining(held_back=0.2, seed=3)
    learned, held = parted(found, settings)
    assert (len(learned), len(held)) == (24, 6)
    assert not {one.scene for one in learned} & {one.scene for one in held}
    assert parted(found, settings) == (learned, held)
    others = {frozenset(one.scene for one in parted(found, FeedbackTraining(seed=seed))[1]) for seed in range(9)}
    assert len(others) > 1


@pytest.mark.parametrize(("scenes", "each", "said"), [(5, 1, "5 documents .* 20 are needed"), (1, 30, "one hazard")])
def test_too_little_to_learn_from_is_refused(tmp_path: Path, scenes: int, each: int, said: str) -> None:
    with pytest.raises(TrainingError, match=said):
        train_from_feedback(triples(scenes, each), FOLDER, tmp_path, FeedbackTraining())
    assert not list(tmp_path.iterdir())


def test_a_new_clerk_that_needs_no_less_editing_is_kept_beside_and_no_drafter_loads_it(
    base: Path, tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []
    outcome = train_from_feedback(triples(4), base, tmp_path, ALIKE, lambda *done: seen.append(done))
    assert not outcome.replaces
    assert outcome.before == outcome.after > 0
    assert f"{outcome.before:.1%}" in outcome.said
    assert (outcome.learned, outcome.held_back, seen) == (3, 1, [(1, 1)])
    assert outcome.model.name == "refused"
    with pytest.raises(ModelError, match="not whole"):
        ClerkBackend(outcome.model)
    shutil.rmtree(outcome.model)
    again = train_from_feedback(triples(4), base, tmp_path, ALIKE, lambda *done: seen.append(done))
    assert (again.steps, len(seen)) == (1, 1), "it goes on from its checkpoint"
    assert again.model == outcome.model


def test_a_new_clerk_that_needs_less_editing_may_replace_the_old_one_and_be_taken_back(
    base: Path, tmp_path: Path
) -> None:
    settings = FeedbackTraining(steps=150, least=4, batch=2, rate=1e-2)
    outcome = train_from_feedback(triples(4), base, tmp_path, settings)
    assert outcome.replaces, outcome.said
    assert outcome.after < outcome.before
    digest = verified(outcome.model)
    assert digest != verified(base)
    by = open_drafter(DrafterSettings(order=("clerk", "composer"), clerk=outcome.model, seconds=120), print)
    draft = by.draft(request())
    assert draft.backend == f"clerk:{digest[:8]}"
    assert "派人逐一清点" in str(draft.content.measures)
    [shipped] = open_drafter(DrafterSettings(order=("clerk", "composer")), print)._backends
    assert shipped.name == f"clerk:{verified(FOLDER)[:8]}", "an empty setting is the way back"
