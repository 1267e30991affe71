"""A model server for tests: real dialects on loopback, answers from a policy that is a function of the conversation."""

from tests.scripted_model.conversation import Call, Conversation, Failure, Policy, Reply, Turn
from tests.scripted_model.server import ScriptedModel, serve

__all__ = ["Call", "Conversation", "Failure", "Policy", "Reply", "ScriptedModel", "Turn", "serve"]
