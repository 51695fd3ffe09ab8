import { api, call, list } from './client'
import type { components } from './schema'

type Schemas = components['schemas']
export type CodeSetup = Schemas['CodeSetup']
export type Invitation = Schemas['Invitation']
export type Link = Schemas['Link']
export type Member = Schemas['Member']
export type MemberRole = Schemas['MemberRole']
export type Provider = Schemas['OIDC']
export type ProviderChange = Schemas['OIDCChange']
export type NewPerson = Schemas['NewPerson']
export type Person = Schemas['Person']
export type PersonChange = Schemas['PersonChange']
export type Role = Member['role']
export type Session = Schemas['Session']

const person = (name: string, rest = '') => `/people/${encodeURIComponent(name)}${rest}`
const of = (project: string, rest: string) => `/projects/${encodeURIComponent(project)}${rest}`

/** The OpenID Connect provider that people may sign in with; null where there is none. */
export const provider = {
  get: async (signal?: AbortSignal) =>
    (await api.loginMethods(signal)).oidc === '' ? null : call<Provider>('GET', '/oidc', { signal }),
  set: (ask: ProviderChange) => call<Provider>('PUT', '/oidc', { body: ask }),
  remove: () => call<void>('DELETE', '/oidc'),
}

/** One's own account. */
export const account = {
  changePassword: (current: string, next: string) =>
    call<void>('POST', '/account/password', { body: { current, new: next } }),
  sessions: (signal?: AbortSignal) => list<Session>('/account/sessions', signal),
  endSession: (id: string) => call<void>('DELETE', `/account/sessions/${encodeURIComponent(id)}`),
  endSessions: () => call<void>('DELETE', '/account/sessions'),
  beginCode: (password: string) => call<CodeSetup>('POST', '/account/code', { body: { password } }),
  /** Answers with the recovery codes, which are shown this once. */
  confirmCode: async (code: string) =>
    (await call<{ items: string[] }>('POST', '/account/code/confirm', { body: { code } })).items,
  removeCode: (password: string) => call<void>('POST', '/account/code/remove', { body: { password } }),
}

/** Everybody who can sign in, for admins of the installation. */
export const people = {
  all: (signal?: AbortSignal) => list<Person>('/people', signal),
  create: (ask: NewPerson) => call<Person>('POST', '/people', { body: ask }),
  change: (name: string, change: PersonChange) => call<Person>('PATCH', person(name), { body: change }),
  remove: (name: string) => call<void>('DELETE', person(name)),
  resetLink: (name: string) => call<Link>('POST', person(name, '/reset-link')),
  signOut: (name: string) => call<void>('POST', person(name, '/logout')),
  invite: (admin: boolean, email: string) =>
    call<Link>('POST', '/invitations', { body: { admin, ...(email && { email }) } }),
  invitations: (signal?: AbortSignal) => list<Invitation>('/invitations', signal),
  revoke: (id: string) => call<void>('DELETE', `/invitations/${encodeURIComponent(id)}`),
}

/** Who has a role in a project. */
export const members = {
  of: (project: string, signal?: AbortSignal) => list<Member>(of(project, '/members'), signal),
  set: (project: string, name: string, role: MemberRole) =>
    call<void>('PUT', of(project, `/members/${encodeURIComponent(name)}`), { body: role }),
  remove: (project: string, name: string) => call<void>('DELETE', of(project, `/members/${encodeURIComponent(name)}`)),
  invite: (project: string, role: MemberRole, email: string) =>
    call<Link>('POST', of(project, '/invitations'), { body: { ...role, ...(email && { email }) } }),
  invitations: (project: string, signal?: AbortSignal) => list<Invitation>(of(project, '/invitations'), signal),
  revoke: (project: string, id: string) => call<void>('DELETE', of(project, `/invitations/${encodeURIComponent(id)}`)),
}

/** What each role may do, in the fewest words. */
export const roles: { value: Role; label: string; about: string }[] = [
  { value: 'viewer', label: 'Viewer', about: 'sees everything but secrets; reads development' },
  { value: 'developer', label: 'Developer', about: 'changes development and previews' },
  { value: 'admin', label: 'Admin', about: 'changes production, members and locations' },
  { value: 'owner', label: 'Owner', about: 'decides who owns the project' },
]
