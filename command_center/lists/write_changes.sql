-- Writes the joins and leaves of one batch, and appends them to the change logs. For PostgreSQL.
--
-- Ids are arrays, which PostgreSQL looks up in an index, however it estimates the sizes of the tables.
--
-- `membership_writer.py` passes the parameters (`:name`), and replaces `{name}` when it is imported. If the epoch differs
-- or an invalidation is missing, nothing changes, because every part depends on `all_pending`.
WITH

-- Has one row if the lease still has the matcher's epoch, otherwise none.
{fence},

-- Locks the invalidations that the batch completes, as far as they still exist.
pending AS MATERIALIZED (
    SELECT id
    FROM invalidations
    WHERE id = ANY(:completed_ids::bigint[]) AND EXISTS (SELECT 1 FROM fence)
    ORDER BY id
    FOR UPDATE
),

-- Has one row if the epoch is right and all these invalidations exist, otherwise none.
all_pending AS MATERIALIZED (
    SELECT 1
    FROM pending
    HAVING count(*) = :completed_count::bigint AND EXISTS (SELECT 1 FROM fence)
),

-- Stores how far the matcher has followed the clock. Only the statement of a batch that advances it has this part.
{stored_times}

-- Deletes the invalidations.
deleted_invalidations AS (
    DELETE FROM invalidations
    USING all_pending
    WHERE id = ANY(:completed_ids::bigint[])
),

-- Locks the saved searches that still exist, so that no entry can follow a list's DELETED entry in the log.
locked_searches AS MATERIALIZED (
    SELECT id, team_id, owner_id, state
    FROM saved_searches
    WHERE id = ANY(:search_ids::bigint[]) AND EXISTS (SELECT 1 FROM all_pending)
    ORDER BY id
    FOR NO KEY UPDATE
),

-- Deletes the memberships that end. IN (...) IS TRUE is one hash lookup for each row: as a join, PostgreSQL might choose
-- a nested loop, because it expects few rows on either side.
left_members AS (
    DELETE FROM memberships m
    WHERE m.id = ANY(:left_member_ids::bigint[]) AND (m.search_id IN (SELECT id FROM locked_searches)) IS TRUE
    RETURNING m.id, m.search_id, m.email_id
),

-- Inserts the memberships that begin. Their ids have the order of the joins.
joined_members AS (
    INSERT INTO memberships (search_id, email_id, joined_at, cause_kind, cause_engagement_id)
    SELECT j.search_id, j.email_id, :now::bigint, j.cause_kind, j.cause_engagement_id
    FROM unnest(
        :joined_search_ids::bigint[],
        :joined_email_ids::bigint[],
        :join_cause_kinds::smallint[],
        :join_engagement_ids::bigint[]
    ) WITH ORDINALITY AS j (search_id, email_id, cause_kind, cause_engagement_id, position)
    JOIN locked_searches s ON s.id = j.search_id
    ORDER BY j.position
    ON CONFLICT (search_id, email_id) DO NOTHING
    RETURNING id, search_id, email_id, cause_kind, cause_engagement_id
),

-- Lists what took effect. Leaves have the order of their parameters, and joins that of their ids.
changes_made AS (
    SELECT
        {left}::smallint AS kind, m.id, m.search_id, m.email_id, l.cause_kind, l.cause_engagement_id, l.position
    FROM left_members m
    JOIN unnest(
        :left_member_ids::bigint[],
        :leave_cause_kinds::smallint[],
        :leave_engagement_ids::bigint[]
    ) WITH ORDINALITY AS l (id, cause_kind, cause_engagement_id, position) ON l.id = m.id
    UNION ALL
    SELECT {joined}::smallint, id, search_id, email_id, cause_kind, cause_engagement_id, id
    FROM joined_members
),

-- Counts the joins of each list, minus its leaves.
count_changes AS (
    SELECT search_id, 2 * count(*) FILTER (WHERE kind = {joined}::smallint) - count(*) AS difference
    FROM changes_made
    GROUP BY search_id
),

-- Adds these differences to the stored numbers of members.
updated_counts AS (
    UPDATE saved_searches s
    SET member_count = s.member_count + c.difference
    FROM count_changes c
    WHERE s.id = ANY(:search_ids::bigint[]) AND s.id = c.search_id AND c.difference <> 0
),

-- Lists the log entries: in each team the leaves, then the joins. Lists whose backfill has not ended have none.
new_entries AS MATERIALIZED (
    SELECT
        s.team_id,
        c.kind,
        s.owner_id,
        c.search_id,
        c.id AS member_id,
        c.email_id,
        NULL::bigint AS task_id,
        c.cause_engagement_id AS engagement_id,
        c.cause_kind,
        row_number() OVER (PARTITION BY s.team_id ORDER BY c.kind = {joined}::smallint, c.position) AS position,
        :now::bigint AS at,
        :check_value::bigint AS check_value
    FROM changes_made c
    JOIN locked_searches s ON s.id = c.search_id
    WHERE :announce::bool AND s.state = {live}
),
-- Appends these entries (see `changes/append_entries.sql`).
{append_entries}

-- Returns the appended entries, each with the results of the two checks. Without entries there is one row.
SELECT
    EXISTS (SELECT 1 FROM fence) AS fence_held,
    (SELECT count(*) FROM pending) AS pending_count,
    e.team_id, e.kind, e.owner_id, e.search_id, e.member_id, e.email_id, e.task_id, e.engagement_id, e.cause_kind,
    e.position, e.at, e.check_value
FROM (VALUES (1)) AS one_row
LEFT JOIN appended_entries e ON TRUE
ORDER BY e.team_id, e.position
