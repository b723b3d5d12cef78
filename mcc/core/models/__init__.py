from mcc.core.models.audit import AppendOnly, AuditEntry
from mcc.core.models.errand import Errand
from mcc.core.models.heartbeat import Heartbeat
from mcc.core.models.live import Event, Stream
from mcc.core.models.user import User

__all__ = ["AppendOnly", "AuditEntry", "Errand", "Event", "Heartbeat", "Stream", "User"]
