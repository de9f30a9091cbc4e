-- Sends what the environment says, and reports the figures in one line that a program can read.

local size = tonumber(os.getenv("BENCH_UPLOAD") or "0")
if size > 0 then
  wrk.method = "POST"
  wrk.body = string.rep("x", size)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    "RESULT %d %d %.1f %.1f %d %d\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout
  ))
end
