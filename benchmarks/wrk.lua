-- Sends the requests of a plan in turn, and ends with one line of JSON.
-- wrk -s wrk.lua URL -- PLAN STATUS FIRST
-- PLAN is a file: "METHOD<tab>PATH<tab>HEADERS<tab>BODY" a line, headers as "Name: value|…".
-- In a body, COUNTER is replaced by a number that no request before had; FIRST is the first.
local requests, count, counter = {}, 0, 0
local threads = {}
local templates = false
unexpected = 0

function setup(thread)
   table.insert(threads, thread)
end

local function parse(line)
   local method, path, headers, body = line:match("^(.-)\t(.-)\t(.-)\t(.*)$")
   local parsed = {}
   for name, value in headers:gmatch("([^|:]+): ([^|]*)") do
      parsed[name] = value
   end
   if body == "" then body = nil end
   return {method = method, path = path, headers = parsed, body = body}
end

function init(args)
   local status = tonumber(args[2])
   counter = tonumber(args[3])
   for line in io.lines(args[1]) do
      local request = parse(line)
      if request.body and request.body:find("COUNTER", 1, true) then templates = true end
      request.text = wrk.format(request.method, request.path, request.headers, request.body)
      table.insert(requests, request)
   end
   if status ~= 200 then
      -- wrk itself only counts what is above 399; looking at each answer costs it some time.
      response = function(got)
         if got ~= status then unexpected = unexpected + 1 end
      end
   end
end

function request()
   count = count % #requests + 1
   local one = requests[count]
   if not templates then return one.text end
   counter = counter + 1
   local body = one.body:gsub("COUNTER", tostring(counter))
   return wrk.format(one.method, one.path, one.headers, body)
end

function done(summary, latency)
   local failed = summary.errors.status
   for _, thread in ipairs(threads) do failed = failed + thread:get("unexpected") end
   io.write(string.format(
      '\nSUMMARY {"requests": %d, "seconds": %.6f, "bytes": %d, "p50_ms": %.4f, "p99_ms": %.4f,' ..
      ' "broken": %d, "unexpected": %d}\n',
      summary.requests, summary.duration / 1e6, summary.bytes, latency:percentile(50) / 1e3,
      latency:percentile(99) / 1e3,
      summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
      failed))
end
