-- Takes a share out of the bucket that all gateways have in common: the rule of buckets.take, in one step.
-- KEYS[1] the bucket, kept as the moment at which it is full. ARGV: now, size, restore, back, need, more, skew_max,
-- early.
-- Answers what was taken and when it will be full, as text: Redis would cut numbers to whole ones.
local now, size, restore = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local back, need, more = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local skew_max, early = tonumber(ARGV[7]), tonumber(ARGV[8])
local full_at = tonumber(redis.call('GET', KEYS[1]) or '0')
local level = size - math.max(full_at - now, 0) * restore
if level < -skew_max * restore then level = 0 end
level = math.min(level + back, size)
local taken = 0
if level + early * restore >= need then taken = need + math.max(0, math.min(more, (level - need) / 4)) end
full_at = now + (size - level + taken) / restore
-- A bucket that is full is as good as one that is not there: it is forgotten then.
redis.call('SET', KEYS[1], string.format('%.6f', full_at), 'PX', math.ceil((full_at - now) * 1000) + 1000)
return {string.format('%.6f', taken), string.format('%.6f', full_at)}
