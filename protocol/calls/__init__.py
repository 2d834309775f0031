"""The declarations of all calls, one module for each group."""

from . import connection, cpu, domain, domain_change, domain_exec, domain_observe, domain_state, events, node, session

MODULES = (session, node, connection, cpu, domain, domain_change, domain_observe, domain_exec, domain_state,
           events)  # fmt: skip
