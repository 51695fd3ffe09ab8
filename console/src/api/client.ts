import { Problem, problemOf, unreachable } from './problem'
import { session } from './session'
import { readEvents } from './sse'
import type {
  Account,
  Branch,
  Connection,
  Extension,
  Job,
  JobLine,
  LoggedIn,
  LoginMethods,
  NewProject,
  NewToken,
  Project,
  ServerInfo,
  Settings,
  SettingsChange,
  Token,
  TokenSecret,
} from './types'

const prefix = '/api/v1'

type Options = { body?: unknown; signal?: AbortSignal; token?: string; accept?: string; prefix?: string }

export async function send(method: string, path: string, options: Options = {}): Promise<Response> {
  const headers: Record<string, string> = { Accept: options.accept ?? 'application/json' }
  const kept = session.token()
  const token = options.token ?? session.bearer()
  if (token) headers.Authorization = `Bearer ${token}`
  // A page of another site cannot send this header, with which the server believes a cookie.
  else if (method !== 'GET') headers['Holdfast-Request'] = '1'
  if (options.body !== undefined) headers['Content-Type'] = 'application/json'
  let response: Response
  try {
    response = await fetch((options.prefix ?? prefix) + path, {
      method,
      headers,
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
      signal: options.signal,
      credentials: token ? 'omit' : 'same-origin',
      cache: 'no-store',
      redirect: 'error',
    })
  } catch (thrown) {
    if (options.signal?.aborted) throw thrown
    throw unreachable()
  }
  if (response.ok) return response
  const problem = await problemOf(response)
  // The token or the session has ended. Whoever shows this page notices and asks for another; a token that is only being tried is not ours.
  if (problem.status === 401 && options.token === undefined && kept !== null && kept === session.token()) session.end()
  throw problem
}

export async function call<T>(method: string, path: string, options?: Options): Promise<T> {
  const response = await send(method, path, options)
  if (response.status === 204) return undefined as T
  try {
    return (await response.json()) as T
  } catch (thrown) {
    if (options?.signal?.aborted) throw thrown
    throw new Problem({ code: 'unavailable', detail: 'the answer of the server was cut off', hint: 'try again' })
  }
}

export async function list<T>(path: string, signal?: AbortSignal): Promise<T[]> {
  return (await call<{ items: T[] }>('GET', path, { signal })).items
}

/** The path of a branch, and what follows it. */
export function at(project: string, branch: string, rest = ''): string {
  return `/projects/${encodeURIComponent(project)}/branches/${encodeURIComponent(branch)}${rest}`
}

/** The REST API, one function for each operation that the console uses. */
export const api = {
  server: (signal?: AbortSignal) => call<ServerInfo>('GET', '/server', { signal }),
  /** Who the given token is; the way to try a token before it is kept. */
  serverAs: (token: string) => call<ServerInfo>('GET', '/server', { token }),
  login: (name: string, password: string, code: string) =>
    call<LoggedIn>('POST', '/login', { body: { name, password, ...(code && { code }) }, token: '' }),
  join: (secret: string, name: string, password: string) =>
    call<LoggedIn>('POST', '/join', { body: { secret, ...(name && { name }), password }, token: '' }),
  /** How one can sign in besides a password. */
  loginMethods: (signal?: AbortSignal) => call<LoginMethods>('GET', '/login/methods', { signal, token: '' }),
  /** The second factor of somebody who came back from the provider. */
  loginCode: (code: string) => call<LoggedIn>('POST', '/login/oidc/code', { body: { code }, token: '' }),
  account: (signal?: AbortSignal) => call<Account>('GET', '/account', { signal }),
  logout: () => call<void>('POST', '/logout'),

  projects: (signal?: AbortSignal) => list<Project>('/projects', signal),
  project: (name: string, signal?: AbortSignal) =>
    call<Project>('GET', `/projects/${encodeURIComponent(name)}`, { signal }),
  createProject: (ask: NewProject) => call<Job>('POST', '/projects', { body: ask }),

  branch: (project: string, branch: string, signal?: AbortSignal) =>
    call<Branch>('GET', at(project, branch), { signal }),
  settings: (project: string, branch: string, signal?: AbortSignal) =>
    call<Settings>('GET', at(project, branch, '/settings'), { signal }),
  changeSettings: (project: string, branch: string, change: SettingsChange) =>
    call<Branch>('PATCH', at(project, branch, '/settings'), { body: change }),
  connection: (project: string, branch: string, signal?: AbortSignal) =>
    call<Connection>('GET', at(project, branch, '/connection'), { signal }),
  rotate: (project: string, branch: string) => call<Connection>('POST', at(project, branch, '/credentials/rotate')),
  wake: (project: string, branch: string) => call<Branch>('POST', at(project, branch, '/wake')),
  sleep: (project: string, branch: string, force: boolean) =>
    call<Branch>('POST', at(project, branch, '/sleep'), { body: { force } }),
  restart: (project: string, branch: string) => call<Branch>('POST', at(project, branch, '/restart')),
  extensions: (project: string, branch: string, signal?: AbortSignal) =>
    list<Extension>(at(project, branch, '/extensions'), signal),
  addExtension: (project: string, branch: string, name: string) =>
    call<void>('POST', at(project, branch, '/extensions'), { body: { name } }),

  jobs: (limit: number, project?: string, signal?: AbortSignal) =>
    list<Job>(`/jobs?limit=${limit}${project ? `&project=${encodeURIComponent(project)}` : ''}`, signal),
  job: (id: string, signal?: AbortSignal) => call<Job>('GET', `/jobs/${encodeURIComponent(id)}`, { signal }),
  jobLog: (id: string, after: number, signal?: AbortSignal) =>
    list<JobLine>(`/jobs/${encodeURIComponent(id)}/log?after=${after}`, signal),
  cancelJob: (id: string) => call<Job>('POST', `/jobs/${encodeURIComponent(id)}/cancel`),
  /** Calls see with each state of a job until the stream ends, which need not be when the job does. */
  watchJob: async (id: string, see: (job: Job) => void, signal: AbortSignal): Promise<void> => {
    const path = `/jobs/${encodeURIComponent(id)}/events`
    const response = await send('GET', path, { signal, accept: 'text/event-stream' })
    if (!response.body) return
    for await (const event of readEvents(response.body)) {
      if (event.name === 'job') see(JSON.parse(event.data) as Job)
    }
  },

  tokens: (signal?: AbortSignal) => list<Token>('/tokens', signal),
  createToken: (ask: NewToken) => call<TokenSecret>('POST', '/tokens', { body: ask }),
  revokeToken: (id: string) => call<void>('DELETE', `/tokens/${encodeURIComponent(id)}`),
}

/** Ends the session on the server, if there is one, and here in any case. */
export async function signOut(): Promise<void> {
  if (session.byCookie()) await api.logout().catch(() => {})
  session.end()
}
