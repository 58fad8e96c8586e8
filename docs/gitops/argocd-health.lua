-- Argo CD's health of a KvCluster. Goes to ConfigMap argocd-cm, key resource.customizations.health.kvorum.dev_KvCluster.
local health = {}
local conditions = {}

local generation = obj.metadata and obj.metadata.generation
local status = obj.status
if status == nil or status.observedGeneration == nil or (generation ~= nil and status.observedGeneration ~= generation) then
  health.status = "Progressing"
  health.message = "The operator has not seen the newest spec yet"
  return health
end

for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end
local function is(type, value)
  return conditions[type] ~= nil and conditions[type].status == value
end

if is("Stalled", "True") then
  health.status = "Degraded"
  health.message = conditions.Stalled.message
elseif is("Paused", "True") then
  health.status = "Suspended"
  health.message = conditions.Paused.message
elseif is("Hibernated", "True") then
  health.status = "Suspended"
  health.message = conditions.Hibernated.message
elseif status.bootstrapped and is("Available", "False") then
  -- Before the first start nothing serves either, and that is no outage.
  health.status = "Degraded"
  health.message = conditions.Available.message
elseif is("Reconciling", "True") then
  health.status = "Progressing"
  health.message = conditions.Reconciling.message
elseif is("Ready", "True") then
  health.status = "Healthy"
  health.message = conditions.Ready.message
else
  health.status = "Progressing"
  health.message = conditions.Ready and conditions.Ready.message or "The cluster is not ready yet"
end
return health
