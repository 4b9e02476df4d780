-- What wrk sends: one CloudEvent a request, each with an identity of its own.
local sent = 0
local run

function init(args)
  wrk.method = "POST"
  wrk.headers["Authorization"] = "Bearer " .. args[1]
  wrk.headers["Content-Type"] = "application/cloudevents+json"
  run = args[2]
end

function request()
  sent = sent + 1
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
