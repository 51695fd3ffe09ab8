import { useQuery } from '@tanstack/react-query'
import { Link, useParams, useRouterState } from '@tanstack/react-router'
import { ChevronDown, ChevronRight, Menu as MenuIcon, Search } from 'lucide-react'
import type { ReactNode } from 'react'
import { queries } from '@/api/queries'
import type { Branch } from '@/api/types'
import { byImportance } from '@/lib/branches'
import { Button } from '@/ui/button'
import { cn } from '@/ui/cn'
import { EnvironmentDot } from '@/ui/environment'
import { Menu, MenuContent, MenuItem, MenuLabel, MenuTrigger } from '@/ui/menu'
import { Kbd } from '@/ui/pieces'

const titles: Record<string, string> = {
  '/projects': 'Projects',
  '/new-project': 'New project',
  '/jobs': 'Jobs',
  '/activity': 'Activity',
  '/account': 'Your account',
  '/people': 'People',
  '/tokens': 'Tokens',
  '/admin/backups': 'Backups',
  '/admin/backups/schedules': 'Schedules',
  '/admin/backups/destinations': 'Destinations',
  '/removed': 'Removed',
  '/alerts': 'Alerts',
  '/usage': 'Usage',
  '/server': 'Server',
}

/** Says where one is, always with the environment, and leads elsewhere. */
export function Header({ onMenu, onPalette }: { onMenu: () => void; onPalette: () => void }) {
  const { project, branch, id, backup } = useParams({ strict: false })
  const path = useRouterState({ select: (s) => s.location.pathname })
  const branches = useQuery({ ...queries.project(project ?? ''), enabled: project !== undefined }).data?.branches ?? []
  const here = branches.find((b) => b.name === branch)
  const production = here?.environment === 'production'
  return (
    <header
      className={cn(
        'sticky top-0 z-30 border-line border-b bg-panel/90 backdrop-blur-md',
        production && 'border-production-solid border-t-3',
      )}
    >
      <div className="flex h-12 items-center gap-2 px-3 sm:px-6">
        <Button variant="ghost" size="icon" className="md:hidden" aria-label="Open the navigation" onClick={onMenu}>
          <MenuIcon />
        </Button>
        <nav aria-label="Where you are" className="flex min-w-0 flex-1 items-center gap-1 text-sm">
          {project !== undefined ? (
            <>
              <Crumb className="hidden sm:flex">
                <Link to="/projects" className="text-muted hover:text-text">
                  Projects
                </Link>
              </Crumb>
              <Link
                to="/projects/$project"
                params={{ project }}
                className={cn('truncate', branch === undefined ? 'font-medium' : 'text-muted hover:text-text')}
              >
                {project}
              </Link>
              {here && (
                <>
                  <ChevronRight className="size-3.5 shrink-0 text-faint" aria-hidden />
                  <EnvironmentSwitch here={here} branches={branches} />
                </>
              )}
            </>
          ) : id !== undefined ? (
            <>
              <Crumb>
                <Link to="/jobs" className="text-muted hover:text-text">
                  Jobs
                </Link>
              </Crumb>
              <span className="truncate font-medium">{id}</span>
            </>
          ) : backup !== undefined ? (
            <>
              <Crumb>
                <Link to="/admin/backups" className="text-muted hover:text-text">
                  Backups
                </Link>
              </Crumb>
              <span className="truncate font-medium">{backup}</span>
            </>
          ) : (
            <span className="font-medium">{titles[path.replace(/\/$/, '')]}</span>
          )}
        </nav>
        <button
          type="button"
          onClick={onPalette}
          aria-label="Search and commands"
          className="flex h-8 items-center gap-2 rounded-md border border-line bg-sunken/60 px-2.5 text-faint text-sm hover:border-line-strong hover:text-muted sm:w-52"
        >
          <Search className="size-3.5" aria-hidden />
          <span className="hidden sm:inline">Search…</span>
          <span className="ml-auto hidden gap-0.5 sm:flex" aria-hidden>
            <Kbd>{/Mac|iPhone|iPad/.test(navigator.userAgent) ? '⌘' : 'Ctrl'}</Kbd>
            <Kbd>K</Kbd>
          </span>
        </button>
      </div>
    </header>
  )
}

function Crumb({ children, className }: { children: ReactNode; className?: string }) {
  return (
    <span className={cn('flex items-center gap-1', className)}>
      {children}
      <ChevronRight className="size-3.5 shrink-0 text-faint" aria-hidden />
    </span>
  )
}

const chips: Record<Branch['environment'], string> = {
  development: 'border-development/30 bg-development-soft text-development',
  production: 'border-production-solid bg-production-solid text-white',
  preview: 'border-preview/30 bg-preview-soft text-preview',
}

function EnvironmentSwitch({ here, branches }: { here: Branch; branches: Branch[] }) {
  return (
    <Menu>
      <MenuTrigger asChild>
        <button
          type="button"
          aria-label={`Database ${here.name}; change database`}
          className={cn(
            'flex h-7 min-w-0 items-center gap-1.5 rounded-md border px-2 font-semibold text-xs',
            chips[here.environment],
          )}
        >
          <span className={cn('truncate', here.environment !== 'preview' && 'capitalize')}>{here.name}</span>
          <ChevronDown className="size-3.5 shrink-0" aria-hidden />
        </button>
      </MenuTrigger>
      <MenuContent align="start">
        <MenuLabel>Database</MenuLabel>
        {byImportance(branches).map((b) => (
          <MenuItem key={b.id} asChild hint={b.name === here.name ? 'here' : undefined}>
            <Link to="/projects/$project/branches/$branch" params={{ project: b.project, branch: b.name }}>
              <EnvironmentDot environment={b.environment} />
              <span
                className={cn(
                  b.environment !== 'preview' && 'capitalize',
                  b.environment === 'production' && 'text-production',
                )}
              >
                {b.name}
              </span>
            </Link>
          </MenuItem>
        ))}
      </MenuContent>
    </Menu>
  )
}
