-- What is known of the line itself. KEYS: line.
if not is_warm() then
  return cold()
end
return { about.epoch, about.serving, about.holes, about.last, about.high_water, about.called, about.standby }
