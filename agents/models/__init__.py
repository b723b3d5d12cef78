from agents.models.agent import Acted, Agent, Effort, Role
from agents.models.breaker import Breaker
from agents.models.catalogue import ModelCard, Provider
from agents.models.charge import Charge
from agents.models.condensation import Condensation
from agents.models.conversation import Artifact, Conversation, Message
from agents.models.outcome_spend import OutcomeSpend, RunSpend
from agents.models.run import Outcome, Purpose, Run
from agents.models.rung import Rung

__all__ = [
    "Acted",
    "Agent",
    "Artifact",
    "Breaker",
    "Charge",
    "Condensation",
    "Conversation",
    "Effort",
    "Message",
    "ModelCard",
    "Outcome",
    "OutcomeSpend",
    "Provider",
    "Purpose",
    "Role",
    "Run",
    "RunSpend",
    "Rung",
]
