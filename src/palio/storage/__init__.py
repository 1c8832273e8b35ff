"""The store on SQL: tables, collections, the event log, units of work, migrations."""
