-- Health of a DatabaseBackup for Argo CD. A failed nightly backup is said in the message and does not degrade the object: it
-- would block every sync of the application, the one that repairs it included. Never "Suspended": no wave completes on that.
-- Argo CD runs this without Lua's string library.
local conditions = {}
local status = obj.status or {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local function is(type, wanted)
  return conditions[type] ~= nil and conditions[type].status == wanted
end

local function message(type)
  return conditions[type].message or conditions[type].reason or type
end

if obj.metadata.deletionTimestamp ~= nil then
  return { status = "Progressing", message = "Being deleted" }
end
if status.observedGeneration ~= obj.metadata.generation or conditions.Ready == nil then
  return { status = "Progressing", message = "Waiting for the controller" }
end
if is("Stalled", "True") then
  return { status = "Degraded", message = message("Stalled") }
end
if is("Reconciling", "True") then
  return { status = "Progressing", message = message("Reconciling") }
end
if is("Ready", "False") then
  return { status = "Degraded", message = message("Ready") }
end
if not is("Ready", "True") then
  return { status = "Progressing", message = message("Ready") }
end
if is("BackupHealthy", "False") then
  return { status = "Healthy", message = "LAST BACKUP FAILED: " .. message("BackupHealthy") }
end
if is("Locked", "True") then
  return { status = "Healthy", message = message("Locked") }
end
if obj.spec.suspend then
  return { status = "Healthy", message = "The schedule is suspended" }
end
if status.lastSuccessfulBackup ~= nil then
  return { status = "Healthy", message = "Last backup " .. status.lastSuccessfulBackup }
end
return { status = "Healthy", message = "No backup has succeeded yet" }
