-- What wrk sends: one CloudEvent a request, or the batch of a file, with identities of their own.
local sent = 0
local run, batch

function init(args)
  run = args[2]
  local media = "application/cloudevents+json"
  if args[3] then
    media = "application/cloudevents-batch+json"
    local file = io.open(args[3], "rb")
    batch = file:read("*a")
    file:close()
  end
  wrk.method = "POST"
  wrk.headers["Authorization"] = "Bearer " .. args[1]
  wrk.headers["Content-Type"] = media
end

function request()
  sent = sent + 1
  if batch then
    return wrk.format(nil, nil, nil, (string.gsub(batch, "@RUN@", run .. sent)))
  end
  return wrk.format(nil, nil, nil, string.format(
    '{"specversion":"1.0","id":"%s/%d","source":"/bench","type":"crm.opportunity.closed",'
      .. '"subject":"deal-%d","time":"2026-01-05T10:00:00Z","data":{"amount":%d,'
      .. '"currency":"EUR","outcome":"won","region":"north"}}',
    run, sent, math.random(1, 1000000000), math.random(100, 100000)))
end

function done(summary, latency, requests)
  local failed = summary.errors
  io.write(string.format('\n{"rate": %f, "p99": %f, "failed": %d}\n',
    summary.requests / summary.duration * 1e6, latency:percentile(99) / 1e6,
    failed.connect + failed.read + failed.write + failed.status + failed.timeout))
end
