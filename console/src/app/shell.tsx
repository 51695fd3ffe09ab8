import { useQuery } from '@tanstack/react-query'
import { Outlet, useNavigate, useParams, useRouter, useRouterState } from '@tanstack/react-router'
import { lazy, Suspense, useEffect, useMemo, useState, useSyncExternalStore } from 'react'
import { queries, reachability } from '@/api/queries'
import { session } from '@/api/session'
import { ConnectSheet } from '@/screens/connect'
import { Drawer } from '@/ui/dialog'
import { type BranchRef, ConnectContext } from './connect-context'
import { Header } from './header'
import { type Shortcut, useShortcuts } from './shortcuts'
import { Sidebar } from './sidebar'
import { toggleTheme } from './theme'

const Palette = lazy(() => import('./palette').then((m) => ({ default: m.Palette })))
const ShortcutsDialog = lazy(() => import('./shortcuts-dialog').then((m) => ({ default: m.ShortcutsDialog })))

function useSignedIn(): boolean {
  return useSyncExternalStore(session.subscribe, () => session.token() !== null)
}

function useLost(): boolean {
  return useSyncExternalStore(
    (listener) => {
      reachability.listeners.add(listener)
      return () => reachability.listeners.delete(listener)
    },
    () => reachability.lost,
  )
}

/** The branch that the address names, when it names one. */
export function useHere(): { project?: string; branch?: BranchRef } {
  const { project, branch } = useParams({ strict: false })
  const found = useQuery({ ...queries.project(project ?? ''), enabled: project !== undefined }).data
  const here = found?.branches.find((b) => b.name === branch)
  return { project, branch: here }
}

/** What stands around every screen: navigation, where one is, the palette, the sheet to connect. */
export function Shell() {
  const signedIn = useSignedIn()
  const navigate = useNavigate()
  const router = useRouter()
  const href = useRouterState({ select: (s) => s.location.href })
  const [connecting, setConnecting] = useState<BranchRef | null>(null)
  const [palette, setPalette] = useState(false)
  const [help, setHelp] = useState(false)
  const [drawer, setDrawer] = useState(false)
  const lost = useLost()
  const { project, branch } = useHere()
  const shown = useQuery({ ...queries.project(project ?? ''), enabled: project !== undefined }).data

  // The token has ended, or somebody signed out: ask for another, and come back here.
  useEffect(() => {
    if (!signedIn) navigate({ to: '/login', search: { to: router.state.location.href }, replace: true })
  }, [signedIn, navigate, router])

  // biome-ignore lint/correctness/useExhaustiveDependencies: the drawer closes when the address changes
  useEffect(() => setDrawer(false), [href])

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() === 'k' && (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey) {
        event.preventDefault()
        setPalette((open) => !open)
      }
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  }, [])

  const shortcuts = useMemo<Shortcut[]>(() => {
    const go = (
      keys: string,
      label: string,
      to:
        | '/projects'
        | '/jobs'
        | '/activity'
        | '/tokens'
        | '/server'
        | '/new-project'
        | '/admin/backups'
        | '/people'
        | '/removed',
    ) => ({
      keys,
      label,
      group: 'Go to',
      run: () => navigate({ to }),
    })
    const out: Shortcut[] = [
      go('g p', 'Projects', '/projects'),
      go('g j', 'Jobs', '/jobs'),
      go('g a', 'Activity', '/activity'),
      go('g b', 'Backups', '/admin/backups'),
      go('g r', 'Removed', '/removed'),
      go('g t', 'Tokens', '/tokens'),
      go('g u', 'People', '/people'),
      go('g s', 'Server', '/server'),
      { ...go('n', 'New project', '/new-project'), group: 'Do' },
      { keys: 't', label: 'Change between light and dark', group: 'Do', run: toggleTheme },
      { keys: '?', label: 'Show the shortcuts', group: 'Do', run: () => setHelp(true) },
    ]
    for (const b of shown?.branches ?? []) {
      const keys = { development: 'g d', production: 'g o', preview: '' }[b.environment]
      if (keys !== '')
        out.push({
          keys,
          label: b.environment === 'development' ? 'Development' : 'Production',
          group: 'Go to',
          run: () =>
            navigate({ to: '/projects/$project/branches/$branch', params: { project: b.project, branch: b.name } }),
        })
    }
    const target = branch ?? shown?.branches.find((b) => b.environment === 'development')
    if (target)
      out.push({ keys: 'c', label: `Connect to ${target.name}`, group: 'Do', run: () => setConnecting(target) })
    return out
  }, [navigate, shown, branch])
  useShortcuts(shortcuts)

  if (!signedIn) return null
  return (
    <ConnectContext value={setConnecting}>
      <div className="flex min-h-dvh">
        <a
          href="#content"
          className="-translate-y-20 fixed top-2 left-2 z-50 rounded-md bg-accent-solid px-3 py-1.5 text-white focus:translate-y-0"
        >
          Skip to the content
        </a>
        <aside className="sticky top-0 hidden h-dvh w-57 shrink-0 border-line border-r bg-panel md:block">
          <Sidebar onHelp={() => setHelp(true)} />
        </aside>
        <Drawer open={drawer} onOpenChange={setDrawer} title="Navigation">
          <Sidebar onHelp={() => setHelp(true)} />
        </Drawer>
        <div className="flex min-w-0 flex-1 flex-col">
          <Header onMenu={() => setDrawer(true)} onPalette={() => setPalette(true)} />
          {lost && (
            <div
              role="status"
              className="border-warn/30 border-b bg-warn-soft px-4 py-1.5 text-center text-sm text-warn"
            >
              The server cannot be reached. What you see may be old; this page tries again by itself.
            </div>
          )}
          <main id="content" tabIndex={-1} className="mx-auto w-full max-w-6xl flex-1 px-4 py-5 outline-none sm:px-6">
            <Outlet />
          </main>
        </div>
      </div>
      <ConnectSheet branch={connecting} onClose={() => setConnecting(null)} />
      <Suspense>
        {palette && <Palette onClose={() => setPalette(false)} onHelp={() => setHelp(true)} />}
        {help && <ShortcutsDialog shortcuts={shortcuts} onClose={() => setHelp(false)} />}
      </Suspense>
    </ConnectContext>
  )
}
