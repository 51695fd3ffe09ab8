import { queryOptions } from '@tanstack/react-query'
import { at, call, list } from './client'
import type { components } from './schema'
import type { Branch } from './types'

type Schemas = components['schemas']
export type Alert = Schemas['Alert']
export type AlertChannel = Schemas['AlertChannel']
export type AlertSettings = Schemas['AlertSettings']
export type BranchStatus = Schemas['BranchStatus']
export type Monitoring = Schemas['Monitoring']
export type MonitoringStep = Schemas['MonitoringStep']
export type NewAlertChannel = Schemas['NewAlertChannel']
export type Status = Schemas['Status']

const channelsOf = (project: string | undefined, rest = '') =>
  `${project === undefined ? '' : `/projects/${encodeURIComponent(project)}`}/alert-channels${rest}`
const channel = (project: string | undefined, name: string, rest = '') =>
  channelsOf(project, `/${encodeURIComponent(name)}${rest}`)

/** How everything stands, what is wrong, and who is told. Without a project it is the installation. */
export const standing = {
  status: (project: string | undefined, signal?: AbortSignal) =>
    call<Status>('GET', `/status${project ? `?project=${encodeURIComponent(project)}` : ''}`, { signal }),
  mute: (alert: Alert, seconds: number) =>
    call<Alert>('POST', `/alerts/${encodeURIComponent(alert.id)}/mute`, { body: { for_seconds: seconds } }),
  acknowledge: (alert: Alert) => call<Alert>('POST', `/alerts/${encodeURIComponent(alert.id)}/acknowledge`),
  thresholds: (signal?: AbortSignal) => call<AlertSettings>('GET', '/alert-settings', { signal }),
  setThresholds: (settings: AlertSettings) => call<void>('PUT', '/alert-settings', { body: settings }),
  channels: (project: string | undefined, signal?: AbortSignal) => list<AlertChannel>(channelsOf(project), signal),
  setChannel: (project: string | undefined, name: string, ask: NewAlertChannel) =>
    call<Schemas['AlertChannelKey']>('PUT', channel(project, name), { body: ask }),
  removeChannel: (project: string | undefined, name: string) => call<void>('DELETE', channel(project, name)),
  testChannel: (project: string | undefined, name: string) => call<void>('POST', channel(project, name, '/test')),
  monitoring: (b: Branch, seconds: number, signal?: AbortSignal) => {
    const from = new Date(Date.now() - seconds * 1000).toISOString()
    return call<Monitoring>('GET', at(b.project, b.name, `/monitoring?from=${encodeURIComponent(from)}`), { signal })
  },
}

export const statusQuery = (project?: string) =>
  queryOptions({
    queryKey: ['status', project ?? ''],
    queryFn: ({ signal }) => standing.status(project, signal),
    refetchInterval: 15_000,
  })
