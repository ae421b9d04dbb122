-- The lines that hold the most memory over all instances.
--
-- Of each instance, its last snapshot on the last day of its service counts. Snapshots at a
-- program's end do not count.
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
)
SELECT /*+ BROADCAST(last_time) */
  heap.service AS service,
  heap.line AS line,
  COALESCE(heap.function, '') AS function_name,
  COUNT(DISTINCT heap.instance) AS instances,
  SUM(COALESCE(heap.current_bytes, 0)) AS live_bytes,
  SUM(COALESCE(heap.current_blocks, 0)) AS live_blocks
FROM heap
JOIN last_time
  ON heap.service = last_time.service
  AND heap.day = last_time.day
  AND heap.instance = last_time.instance
  AND heap.time = last_time.last_time
WHERE NOT heap.at_exit
GROUP BY heap.service, heap.line, COALESCE(heap.function, '')
ORDER BY live_bytes DESC, service, line, function_name
