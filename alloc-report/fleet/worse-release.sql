-- The functions that hold more in a version than in the version before: which release made it worse.
--
-- Functions are compared, since the numbers of lines change with each release. The bytes are those
-- of a mean instance. The version before is the one that was first seen before. Of each instance,
-- its last snapshot in a version counts. Snapshots at a program's end do not count.
WITH versions AS (
  SELECT
    service,
    version,
    first_day,
    ROW_NUMBER() OVER (PARTITION BY service ORDER BY first_time, version) AS place
  FROM (
    SELECT service, version, MIN(first_time) AS first_time, MIN(day) AS first_day
    FROM (
      SELECT service, version, day, MIN(time) AS first_time
      FROM heap
      WHERE NOT at_exit
      GROUP BY service, version, day
    ) AS seen_by_day
    GROUP BY service, version
  ) AS seen
), last_time AS (
  SELECT service, version, instance, MAX(time) AS last_time
  FROM heap
  WHERE NOT at_exit
  GROUP BY service, version, instance
), members AS (
  SELECT service, version, COUNT(*) AS instances FROM last_time GROUP BY service, version
), sums_by_line AS (
  SELECT /*+ BROADCAST(last_time) */
    heap.service AS service,
    heap.version AS version,
    COALESCE(heap.function, heap.line) AS function_name,
    heap.line AS line,
    SUM(COALESCE(heap.current_bytes, 0)) AS live_bytes
  FROM heap
  JOIN last_time
    ON heap.service = last_time.service
    AND heap.version = last_time.version
    AND heap.instance = last_time.instance
    AND heap.time = last_time.last_time
  WHERE NOT heap.at_exit
  GROUP BY heap.service, heap.version, COALESCE(heap.function, heap.line), heap.line
), sums AS (
  SELECT service, version, function_name, MAX(line) AS line, SUM(live_bytes) AS live_bytes
  FROM sums_by_line
  GROUP BY service, version, function_name
), means AS (
  SELECT
    sums.service AS service,
    sums.function_name AS function_name,
    sums.line AS line,
    versions.place AS place,
    CAST(FLOOR(sums.live_bytes / members.instances) AS BIGINT) AS mean_bytes
  FROM sums
  JOIN members ON sums.service = members.service AND sums.version = members.version
  JOIN versions ON sums.service = versions.service AND sums.version = versions.version
), sides AS (
  SELECT service, function_name, place, line, mean_bytes AS after_bytes, 0 AS before_bytes
  FROM means
  UNION ALL
  SELECT service, function_name, place + 1 AS place, '' AS line, 0 AS after_bytes,
    mean_bytes AS before_bytes
  FROM means
), changes AS (
  SELECT
    service,
    function_name,
    place,
    MAX(line) AS line,
    SUM(before_bytes) AS bytes_before,
    SUM(after_bytes) AS bytes_after
  FROM sides
  GROUP BY service, function_name, place
)
SELECT
  changes.service AS service,
  versions.version AS version,
  versions_before.version AS version_before,
  changes.function_name AS function_name,
  changes.line AS line,
  changes.bytes_before AS before_bytes,
  changes.bytes_after AS after_bytes,
  changes.bytes_after - changes.bytes_before AS growth_bytes
FROM changes
JOIN versions ON changes.service = versions.service AND changes.place = versions.place
JOIN versions AS versions_before
  ON changes.service = versions_before.service AND changes.place = versions_before.place + 1
WHERE changes.bytes_after > changes.bytes_before
ORDER BY growth_bytes DESC, service, version, function_name
