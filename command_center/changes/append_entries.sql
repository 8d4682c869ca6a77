-- CTEs that append the rows of a CTE `new_entries` to the logs of their teams, as part of a statement. For PostgreSQL.
--
-- `new_entries` has the columns of a log entry. Its `position` counts from 1 in each team, and `check_value` is the same
-- in all rows. As with `log.append`, no other row may be locked afterwards.

-- Locks the counter rows in the order of the teams. With an array of keys PostgreSQL uses the index, whatever its
-- statistics say about the table.
locked_logs AS MATERIALIZED (
    SELECT l.team_id, e.count, e.check_value
    FROM change_logs l
    JOIN (
        SELECT team_id, count(*) AS count, min(check_value) AS check_value
        FROM new_entries
        GROUP BY team_id
    ) AS e ON e.team_id = l.team_id
    WHERE l.team_id = ANY (ARRAY (SELECT team_id FROM new_entries))
    ORDER BY l.team_id
    FOR NO KEY UPDATE OF l
),

-- Advances the counters, and keeps the position before the first new entry.
advanced_logs AS (
    UPDATE change_logs l
    SET position = l.position + locked_logs.count, check_value = locked_logs.check_value
    FROM locked_logs
    WHERE l.team_id = locked_logs.team_id AND l.team_id = ANY (ARRAY (SELECT team_id FROM locked_logs))
    RETURNING l.team_id, l.position - locked_logs.count AS position_before
),

-- Inserts the entries, with their positions in the logs.
appended_entries AS (
    INSERT INTO changes (
        team_id, kind, owner_id, search_id, member_id, email_id, task_id, engagement_id, cause_kind, position, at,
        check_value
    )
    SELECT
        e.team_id, e.kind, e.owner_id, e.search_id, e.member_id, e.email_id, e.task_id, e.engagement_id, e.cause_kind,
        l.position_before + e.position, e.at, e.check_value
    FROM new_entries e
    JOIN advanced_logs l ON l.team_id = e.team_id
    RETURNING
        team_id, kind, owner_id, search_id, member_id, email_id, task_id, engagement_id, cause_kind, position, at,
        check_value
)
