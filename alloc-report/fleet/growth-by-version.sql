-- What an instance holds in each version, and how much more that is than in the version before.
--
-- The version before is the one that was first seen before it. Of each instance, its last snapshot
-- in a version counts. Snapshots at a program's end do not count.
WITH versions AS (
  SELECT
    service,
    version,
    first_day,
    ROW_NUMBER() OVER (PARTITION BY service ORDER BY first_time, version) AS place
  FROM (
    SELECT service, version, MIN(time) AS first_time, MIN(day) AS first_day
    FROM heap
    GROUP BY service, version
  ) AS seen
), last_time AS (
  SELECT service, version, instance, MAX(time) AS last_time
  FROM heap
  WHERE NOT at_exit
  GROUP BY service, version, instance
), sums AS (
  SELECT
    heap.service AS service,
    heap.version AS version,
    COUNT(DISTINCT heap.instance) AS instances,
    SUM(COALESCE(heap.current_bytes, 0)) AS live_bytes
  FROM heap
  JOIN last_time
    ON heap.service = last_time.service
    AND heap.version = last_time.version
    AND heap.instance = last_time.instance
    AND heap.time = last_time.last_time
  WHERE NOT heap.at_exit
  GROUP BY heap.service, heap.version
), means AS (
  SELECT
    sums.service AS service,
    sums.version AS version,
    versions.place AS place,
    versions.first_day AS first_day,
    sums.instances AS instances,
    CAST(FLOOR(sums.live_bytes / sums.instances) AS BIGINT) AS instance_bytes
  FROM sums
  JOIN versions ON sums.service = versions.service AND sums.version = versions.version
), compared AS (
  SELECT service, place, version, first_day, instances, instance_bytes, CAST(0 AS BIGINT) AS before_bytes
  FROM means
  UNION ALL
  SELECT service, place + 1 AS place, '' AS version, first_day, CAST(0 AS BIGINT) AS instances,
    CAST(0 AS BIGINT) AS instance_bytes, instance_bytes AS before_bytes
  FROM means
)
SELECT
  service,
  MAX(version) AS version_name,
  MAX(first_day) AS first_seen,
  SUM(instances) AS instance_count,
  SUM(instance_bytes) AS bytes_each,
  CASE WHEN place = 1 THEN 0 ELSE SUM(instance_bytes) - SUM(before_bytes) END AS growth_bytes
FROM compared
GROUP BY service, place
HAVING MAX(version) <> ''
ORDER BY service, place
