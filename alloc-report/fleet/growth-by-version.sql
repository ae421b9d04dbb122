-- What an instance holds in each version, and how much more that is than in the version before.
--
-- The version before is the one that was first seen before. Of each instance, its last snapshot in
-- a version counts. Snapshots at a program's end do not count.
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
), sums AS (
  SELECT /*+ BROADCAST(last_time) */
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
    sums.instances AS instances,
    versions.first_day AS first_day,
    versions.place AS place,
    CASE WHEN versions.place = 1 THEN 1 ELSE versions.place - 1 END AS place_before,
    CAST(FLOOR(sums.live_bytes / sums.instances) AS BIGINT) AS mean_bytes
  FROM sums
  JOIN versions ON sums.service = versions.service AND sums.version = versions.version
)
SELECT
  means.service AS service,
  means.version AS version,
  means.first_day AS first_day,
  means.instances AS instances,
  means.mean_bytes AS mean_bytes,
  means.mean_bytes - means_before.mean_bytes AS growth_bytes
FROM means
JOIN means AS means_before
  ON means.service = means_before.service AND means.place_before = means_before.place
ORDER BY service, means.place
