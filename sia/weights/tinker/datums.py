"""Prompts and answers as Tinker takes them: the token at each position predicts the one behind it."""

from collections.abc import Sequence

from tinker import Datum, ModelInput, TensorData

from sia.weights.tokens import Tokens


def weighted(prompt: Tokens, answer: Tokens, weight: float) -> Datum:
    """For `cross_entropy`, and for losses of our own: `weight` on each token of the answer, 0 on the prompt."""
    return _datum(prompt, answer, {"weights": [weight] * len(answer)})


def rewarded(prompt: Tokens, answer: Tokens, logprobs: Sequence[float], advantages: Sequence[float]) -> Datum:
    """For `importance_sampling` and `ppo`; `logprobs` are of the model that drew the answer."""
    return _datum(prompt, answer, {"logprobs": list(logprobs), "advantages": list(advantages)})


def _datum(prompt: Tokens, answer: Tokens, inputs: dict[str, list[float]]) -> Datum:
    tokens, lead = prompt + answer, len(prompt) - 1
    return Datum(
        model_input=ModelInput.from_ints(tokens[:-1]),
        loss_fn_inputs={
            "target_tokens": TensorData(data=tokens[1:], dtype="int64", shape=[len(tokens) - 1]),
            **{
                name: TensorData(data=[0.0] * lead + values, dtype="float32", shape=[len(tokens) - 1])
                for name, values in inputs.items()
            },
        },
    )
