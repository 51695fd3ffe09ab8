import type { components } from './schema'

// Short names for the types of the API, which are generated from docs/openapi.json.
type Schemas = components['schemas']

export type Account = Schemas['Account']
export type AuditEntry = Schemas['AuditEntry']
export type Branch = Schemas['Branch']
export type Connection = Schemas['Connection']
export type Extension = Schemas['Extension']
export type Job = Schemas['Job']
export type JobLine = Schemas['JobLine']
export type LoggedIn = Schemas['LoggedIn']
export type LoginMethods = Schemas['LoginMethods']
export type NewProject = Schemas['NewProject']
export type NewToken = Schemas['NewToken']
export type Parameter = Schemas['Parameter']
export type ProblemBody = Schemas['Problem']
export type Project = Schemas['Project']
export type ServerInfo = Schemas['ServerInfo']
export type Settings = Schemas['Settings']
export type SettingsChange = Schemas['SettingsChange']
export type Token = Schemas['Token']
export type TokenSecret = Schemas['TokenSecret']

export type Environment = Branch['environment']
export type Activity = Branch['activity']

/** Says whether a job has ended. */
export function isFinal(job: Job): boolean {
  return job.state === 'succeeded' || job.state === 'failed' || job.state === 'canceled'
}
