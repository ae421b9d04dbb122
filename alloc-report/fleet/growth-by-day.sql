-- The functions that hold more on the last day than on the first, and on how many days they grew.
--
-- What leaks grows on each day. The bytes are those of a mean instance. Of each instance, its last
-- snapshot of a day counts. Snapshots at a program's end do not count.
WITH last_time AS (
  SELECT service, day, instance, MAX(time) AS last_time
  FROM heap
  WHERE NOT at_exit
  GROUP BY service, day, instance
), days AS (
  SELECT
    service,
    day,
    instances,
    ROW_NUMBER() OVER (PARTITION BY service ORDER BY day) AS place,
    COUNT(*) OVER (PARTITION BY service) AS last_place
  FROM (
    SELECT service, day, COUNT(*) AS instances FROM last_time GROUP BY service, day
  ) AS seen
), sums AS (
  SELECT /*+ BROADCAST(last_time) */
    heap.service AS service,
    heap.day AS day,
    COALESCE(heap.function, heap.line) AS function_name,
    SUM(COALESCE(heap.current_bytes, 0)) AS live_bytes
  FROM heap
  JOIN last_time
    ON heap.service = last_time.service
    AND heap.day = last_time.day
    AND heap.instance = last_time.instance
    AND heap.time = last_time.last_time
  WHERE NOT heap.at_exit
  GROUP BY heap.service, heap.day, COALESCE(heap.function, heap.line)
), means AS (
  SELECT
    sums.service AS service,
    sums.function_name AS function_name,
    days.place AS place,
    days.last_place AS last_place,
    CAST(FLOOR(sums.live_bytes / days.instances) AS BIGINT) AS mean_bytes
  FROM sums
  JOIN days ON sums.service = days.service AND sums.day = days.day
), sides AS (
  SELECT service, function_name, place, last_place, mean_bytes AS after_bytes, 0 AS before_bytes
  FROM means
  UNION ALL
  SELECT service, function_name, place + 1 AS place, last_place, 0 AS after_bytes,
    mean_bytes AS before_bytes
  FROM means
), steps AS (
  SELECT
    service,
    function_name,
    place,
    last_place,
    SUM(after_bytes) AS bytes_after,
    SUM(before_bytes) AS bytes_before
  FROM sides
  WHERE place <= last_place
  GROUP BY service, function_name, place, last_place
)
SELECT
  service,
  function_name,
  SUM(CASE WHEN place = 1 THEN bytes_after ELSE 0 END) AS first_bytes,
  SUM(CASE WHEN place = last_place THEN bytes_after ELSE 0 END) AS last_bytes,
  SUM(CASE WHEN place > 1 THEN bytes_after - bytes_before ELSE 0 END) AS growth_bytes,
  SUM(CASE WHEN place > 1 AND bytes_after > bytes_before THEN 1 ELSE 0 END) AS rising_days,
  MAX(last_place) - 1 AS steps
FROM steps
GROUP BY service, function_name
HAVING SUM(CASE WHEN place > 1 THEN bytes_after - bytes_before ELSE 0 END) > 0
ORDER BY growth_bytes DESC, service, function_name
