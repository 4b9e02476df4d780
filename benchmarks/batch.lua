-- What wrk sends: the batch of a file, each time with identities of its own.
local sent = 0
local run, batch

function init(args)
  wrk.method = "POST"
  wrk.headers["Authorization"] = "Bearer " .. args[1]
  wrk.headers["Content-Type"] = "application/cloudevents-batch+json"
  run = args[2]
  local file = io.open(args[3], "rb")
  batch = file:read("*a")
  file:close()
end

function request()
  sent = sent + 1
  return wrk.format(nil, nil, nil, (string.gsub(batch, "@RUN@", run .. sent)))
end

function done(summary, latency, requests)
  local failed = summary.errors
  io.write(string.format('\n{"rate": %f, "p99": %f, "failed": %d}\n',
    summary.requests / summary.duration * 1e6, latency:percentile(99) / 1e6,
    failed.connect + failed.read + failed.write + failed.status + failed.timeout))
end
