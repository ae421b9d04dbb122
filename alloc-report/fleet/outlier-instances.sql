-- The instances that hold much more or much less than others of their service and version.
--
-- An instance is an outlier if its distance from the median is more than five times the median
-- distance, and more than a tenth of the median. A version has at least five instances. Of each
-- instance, its last snapshot on the last day of its service counts.
WITH days AS (
  SELECT service, day, COUNT(*) AS row_count FROM heap GROUP BY service, day
), last_day AS (
  -- NOTE: this is always true. Without a condition, Spark does not skip the other days.
  SELECT service, MAX(day) AS last_day FROM days WHERE row_count > 0 GROUP BY service
), last_time AS (
  SELECT /*+ BROADCAST(last_day) */
    heap.service AS service,
    heap.day AS day,
    heap.instance AS instance,
    MAX(heap.time) AS last_time
  FROM heap
  JOIN last_day ON heap.service = last_day.service AND heap.day = last_day.last_day
  WHERE NOT heap.at_exit
  GROUP BY heap.service, heap.day, heap.instance
), totals AS (
  SELECT /*+ BROADCAST(last_time) */
    heap.service AS service,
    heap.version AS version,
    heap.instance AS instance,
    SUM(COALESCE(heap.current_bytes, 0)) AS live_bytes
  FROM heap
  JOIN last_time
    ON heap.service = last_time.service
    AND heap.day = last_time.day
    AND heap.instance = last_time.instance
    AND heap.time = last_time.last_time
  WHERE NOT heap.at_exit
  GROUP BY heap.service, heap.version, heap.instance
), ranked AS (
  SELECT
    service, version, instance, live_bytes,
    ROW_NUMBER() OVER (PARTITION BY service, version ORDER BY live_bytes, instance) AS place,
    COUNT(*) OVER (PARTITION BY service, version) AS members
  FROM totals
), medians AS (
  SELECT service, version, live_bytes AS median_bytes
  FROM ranked
  WHERE 2 * place BETWEEN members AND members + 1 AND members >= 5
), distances AS (
  SELECT
    totals.service AS service,
    totals.version AS version,
    totals.instance AS instance,
    totals.live_bytes AS live_bytes,
    medians.median_bytes AS median_bytes,
    ABS(totals.live_bytes - medians.median_bytes) AS distance_bytes
  FROM totals
  JOIN medians ON totals.service = medians.service AND totals.version = medians.version
), ranked_distances AS (
  SELECT
    service, version, distance_bytes,
    ROW_NUMBER() OVER (PARTITION BY service, version ORDER BY distance_bytes, instance) AS place,
    COUNT(*) OVER (PARTITION BY service, version) AS members
  FROM distances
), median_distances AS (
  SELECT service, version, distance_bytes AS median_distance_bytes
  FROM ranked_distances
  WHERE 2 * place BETWEEN members AND members + 1
)
SELECT
  distances.service AS service,
  distances.version AS version,
  distances.instance AS instance,
  distances.live_bytes AS live_bytes,
  distances.median_bytes AS median_bytes,
  median_distances.median_distance_bytes AS median_distance_bytes,
  distances.live_bytes - distances.median_bytes AS excess_bytes
FROM distances
JOIN median_distances
  ON distances.service = median_distances.service
  AND distances.version = median_distances.version
WHERE distances.distance_bytes > 5 * median_distances.median_distance_bytes
  AND distances.distance_bytes * 10 > distances.median_bytes
ORDER BY excess_bytes DESC, service, version, instance
