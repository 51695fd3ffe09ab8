import {
  infiniteQueryOptions,
  keepPreviousData,
  QueryCache,
  QueryClient,
  queryOptions,
  useMutation,
  useQueryClient,
} from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { type AuditFilter, audit } from './audit'
import { api } from './client'
import { asProblem } from './problem'
import { session } from './session'
import { type Branch, isFinal, type Job, type JobLine, type Project } from './types'

const second = 1000

/** What is kept of the server's answers, and how long each is believed. States that change by themselves are asked for again and again. */
export const queries = {
  server: () =>
    queryOptions({ queryKey: ['server'], queryFn: ({ signal }) => api.server(signal), staleTime: 60 * second }),
  account: () =>
    queryOptions({ queryKey: ['account'], queryFn: ({ signal }) => api.account(signal), staleTime: 30 * second }),
  projects: () =>
    queryOptions({
      queryKey: ['projects'],
      queryFn: ({ signal }) => api.projects(signal),
      refetchInterval: 4 * second,
    }),
  project: (name: string) =>
    queryOptions({
      queryKey: ['project', name],
      queryFn: ({ signal }) => api.project(name, signal),
      refetchInterval: (query) => (query.state.data?.branches.some(inMotion) ? 0.7 : 2.5) * second,
    }),
  settings: (project: string, branch: string) =>
    queryOptions({
      queryKey: ['settings', project, branch],
      queryFn: ({ signal }) => api.settings(project, branch, signal),
    }),
  connection: (project: string, branch: string) =>
    queryOptions({
      queryKey: ['connection', project, branch],
      queryFn: ({ signal }) => api.connection(project, branch, signal),
      // It holds a password: it is forgotten as soon as nobody looks at it.
      gcTime: 0,
      staleTime: 30 * second,
    }),
  // Asking wakes the branch, and the answer is read under its server's eyes: ask once.
  extensions: (project: string, branch: string) =>
    queryOptions({
      queryKey: ['extensions', project, branch],
      queryFn: ({ signal }) => api.extensions(project, branch, signal),
      staleTime: Number.POSITIVE_INFINITY,
    }),
  jobs: (project?: string) =>
    queryOptions({
      queryKey: ['jobs', project ?? ''],
      queryFn: ({ signal }) => api.jobs(100, project, signal),
      refetchInterval: (query) => (query.state.data?.some((job) => !isFinal(job)) ? 1.5 : 5) * second,
    }),
  job: (id: string) =>
    queryOptions({
      queryKey: ['job', id],
      // A job that has ended does not run again: an answer that was under way when its end was told is older than that.
      queryFn: async ({ signal, client, queryKey }) => {
        const answer = await api.job(id, signal)
        const known = client.getQueryData<Job>(queryKey)
        return known && isFinal(known) ? known : answer
      },
      refetchInterval: (query) => (query.state.data && isFinal(query.state.data) ? false : 3 * second),
    }),
  tokens: () =>
    queryOptions({ queryKey: ['tokens'], queryFn: ({ signal }) => api.tokens(signal), refetchInterval: 15 * second }),
  audit: (filter: AuditFilter) =>
    infiniteQueryOptions({
      queryKey: ['audit', filter],
      queryFn: ({ pageParam, signal }) => audit.page(filter, pageParam, auditPage, signal),
      initialPageParam: 0,
      getNextPageParam: (last) => (last.length < auditPage ? undefined : last.at(-1)?.seq),
      placeholderData: keepPreviousData,
    }),
}

const auditPage = 100

function inMotion(branch: Branch): boolean {
  return branch.activity === 'waking' || branch.activity === 'sleeping'
}

/** Whether the server answered the last time it was asked. */
export const reachability = { lost: false, listeners: new Set<() => void>() }

function setLost(lost: boolean): void {
  if (reachability.lost === lost) return
  reachability.lost = lost
  for (const listener of reachability.listeners) listener()
}

export function newQueryClient(): QueryClient {
  const client = new QueryClient({
    queryCache: new QueryCache({
      onError: (error) => {
        const problem = asProblem(error)
        if (problem.code === 'unavailable' && problem.status === 0) setLost(true)
      },
      onSuccess: () => setLost(false),
    }),
    defaultOptions: {
      queries: {
        retry: (failures, error) => asProblem(error).code === 'unavailable' && failures < 2,
        retryDelay: 400,
        networkMode: 'always',
        refetchOnWindowFocus: true,
      },
      mutations: { networkMode: 'always' },
    },
  })
  // What one person was shown is not for the next.
  session.subscribe(() => {
    if (session.token() === null) client.clear()
  })
  return client
}

/** Puts a branch that an operation answered with into every answer that holds it, so that the page need not wait for the next one. */
export function useBranchUpdate() {
  const client = useQueryClient()
  return (branch: Branch) => {
    const into = (project: Project): Project => ({
      ...project,
      branches: project.branches.map((b) => (b.id === branch.id ? branch : b)),
    })
    client.setQueryData(queries.project(branch.project).queryKey, (old) => old && into(old))
    client.setQueryData(queries.projects().queryKey, (old) =>
      old?.map((p) => (p.name === branch.project ? into(p) : p)),
    )
  }
}

/** Waking, putting to sleep and starting again, with the state in between shown at once. */
export function useBranchAction(branch: Branch) {
  const update = useBranchUpdate()
  const client = useQueryClient()
  return useMutation({
    mutationFn: (action: 'wake' | 'sleep' | 'force-sleep' | 'restart') => {
      if (action === 'wake') return api.wake(branch.project, branch.name)
      if (action === 'restart') return api.restart(branch.project, branch.name)
      return api.sleep(branch.project, branch.name, action === 'force-sleep')
    },
    onMutate: (action) =>
      update({ ...branch, activity: action === 'wake' || action === 'restart' ? 'waking' : 'sleeping' }),
    onSuccess: update,
    onError: () => update(branch),
    onSettled: () => client.invalidateQueries({ queryKey: ['project', branch.project] }),
  })
}

/** A job whose state follows the server's own telling, over restarts of the server and reloads of the page. */
export function useJobLive(id: string): void {
  const client = useQueryClient()
  useEffect(() => {
    const stop = new AbortController()
    const see = (job: Job) => {
      client.setQueryData(['job', id], job)
      if (isFinal(job)) {
        client.invalidateQueries({ queryKey: ['jobs'] })
        client.invalidateQueries({ queryKey: ['projects'] })
      }
    }
    follow(id, see, stop.signal)
    return () => stop.abort()
  }, [client, id])
}

async function follow(id: string, see: (job: Job) => void, signal: AbortSignal): Promise<void> {
  let ended = false
  let pause = 300
  while (!ended && !signal.aborted) {
    try {
      await api.watchJob(
        id,
        (job) => {
          ended = isFinal(job)
          pause = 300
          see(job)
        },
        signal,
      )
    } catch (thrown) {
      if (signal.aborted) return
      const problem = asProblem(thrown)
      // A job that is not there, or not for us, does not come by waiting.
      if (problem.code !== 'unavailable' && problem.code !== 'internal') return
    }
    if (!ended) await new Promise((resolve) => setTimeout(resolve, pause))
    pause = Math.min(pause * 2, 3000)
  }
}

/** The lines of a job's log, growing while it runs. */
export function useJobLog(job: Job | undefined): JobLine[] {
  const [lines, setLines] = useState<JobLine[]>([])
  const id = job?.id ?? ''
  const ended = job ? isFinal(job) : false
  useEffect(() => {
    if (id === '') return
    setLines([])
    const stop = new AbortController()
    let last = 0
    let timer: ReturnType<typeof setTimeout> | undefined
    const read = async () => {
      try {
        for (;;) {
          const more = await api.jobLog(id, last, stop.signal)
          if (stop.signal.aborted) return
          const newest = more.at(-1)
          if (!newest) break
          last = newest.seq
          setLines((old) => [...old, ...more])
        }
      } catch {
        // The state of the job says whether the server is out of reach.
      }
      if (!ended && !stop.signal.aborted) timer = setTimeout(read, 800)
    }
    read()
    return () => {
      stop.abort()
      clearTimeout(timer)
    }
  }, [id, ended])
  return lines
}
