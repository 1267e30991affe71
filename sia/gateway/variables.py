"""The environment variables by which a jailed program finds its model. One place for all programs."""

from sia.gateway.providers import Model
from sia.gateway.trace import Role
from sia.jail.protocol import GATEWAY_PLACEHOLDER


def program_variables(role: Role, models: dict[Role, Model], token: str) -> dict[str, str]:
    """Addresses and token under the names that the clients of all three dialects read, and the models' names.

    `SIA_TASK_MODEL` is what a target agent has to send as the model, in the dialect `SIA_TASK_DIALECT`; an author also
    gets `SIA_META_MODEL` and `SIA_META_DIALECT`, its own.
    """
    variables = {
        "ANTHROPIC_BASE_URL": GATEWAY_PLACEHOLDER,
        "ANTHROPIC_API_KEY": token,
        "OPENAI_BASE_URL": f"{GATEWAY_PLACEHOLDER}/v1",
        "OPENAI_API_KEY": token,
        "GOOGLE_GEMINI_BASE_URL": GATEWAY_PLACEHOLDER,
        "GEMINI_API_KEY": token,
        "GOOGLE_API_KEY": token,
    }
    if "target" in models:
        variables |= {
            "SIA_TASK_MODEL": models["target"].name,
            "SIA_TASK_DIALECT": models["target"].provider.dialect,
        }
    if role == "author":
        variables |= {
            "SIA_META_MODEL": models["author"].name,
            "SIA_META_DIALECT": models["author"].provider.dialect,
        }
    return variables
