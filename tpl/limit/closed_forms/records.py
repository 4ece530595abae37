"""The registry: every closed form by name."""

from tpl.limit.closed_forms.record import ClosedForm
from tpl.limit.closed_forms.records_gates import GATES
from tpl.limit.closed_forms.records_smooth import SMOOTH

RECORDS: dict[str, ClosedForm] = {record.name: record for record in (*GATES, *SMOOTH)}
