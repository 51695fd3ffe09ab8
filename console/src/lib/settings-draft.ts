import type { Settings, SettingsChange } from '@/api/types'

/** What a person has changed and not saved. A parameter that is null returns to its profile. */
export type Draft = {
  idle?: number
  connections?: string
  window?: number
  parameters?: Record<string, string | null>
}

/** The values to show: those of the server under those of the draft. */
export function draftOf(settings: Settings, draft: Draft): { idle: number; connections: string; window: number } {
  return {
    idle: draft.idle ?? settings.idle_timeout_seconds,
    connections: draft.connections ?? String(settings.connection_limit),
    window: draft.window ?? settings.history_window_seconds,
  }
}

/** Makes the request that saves the draft. It names only what differs from what the server has. */
export function changeOf(settings: Settings, draft: Draft): SettingsChange {
  const change: SettingsChange = {}
  if (draft.idle !== undefined && draft.idle !== settings.idle_timeout_seconds) change.idle_timeout_seconds = draft.idle
  if (draft.connections !== undefined && draft.connections !== String(settings.connection_limit)) {
    change.connection_limit = Number(draft.connections || 0)
  }
  if (draft.window !== undefined && draft.window !== settings.history_window_seconds) {
    change.history_window_seconds = draft.window
  }
  const parameters: Record<string, string | null> = {}
  for (const [name, value] of Object.entries(draft.parameters ?? {})) {
    const now = settings.parameters.find((p) => p.name === name)
    const same = value === null ? !now?.changed : value === (now?.value ?? '')
    if (!same) parameters[name] = value
  }
  if (Object.keys(parameters).length > 0) change.parameters = parameters
  return change
}

/** The names of the settings that saving the draft would change. */
export function staged(settings: Settings, draft: Draft): string[] {
  const { parameters, ...rest } = changeOf(settings, draft)
  return [...Object.keys(rest), ...Object.keys(parameters ?? {})]
}
