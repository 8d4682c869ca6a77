"""Dynamic lists: the matcher, backfills, time transitions and the audit."""
