import { useQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { Command } from 'cmdk'
import {
  Activity,
  Archive,
  BellRing,
  Boxes,
  CalendarClock,
  CircleHelp,
  Database,
  Gauge,
  History,
  KeyRound,
  LifeBuoy,
  ListChecks,
  LogOut,
  MapPin,
  Moon,
  Plug,
  Plus,
  Rocket,
  Rows3,
  ScrollText,
  Search,
  Server,
  SlidersHorizontal,
  Table2,
  Terminal,
  Trash2,
  UserRound,
  Users,
} from 'lucide-react'
import { Dialog as Radix } from 'radix-ui'
import { type ReactNode, useEffect, useState } from 'react'
import { signOut } from '@/api/client'
import { queries } from '@/api/queries'
import { byImportance } from '@/lib/branches'
import { EnvironmentDot } from '@/ui/environment'
import { Kbd } from '@/ui/pieces'
import { useConnect } from './connect-context'
import { toggleTheme } from './theme'

const item =
  'flex items-center gap-2.5 rounded-md px-2.5 py-2 text-sm data-[selected=true]:bg-hover [&_svg]:size-4 [&_svg]:shrink-0 [&_svg]:text-muted'
const group =
  '[&_[cmdk-group-heading]]:px-2.5 [&_[cmdk-group-heading]]:pt-2 [&_[cmdk-group-heading]]:pb-1 [&_[cmdk-group-heading]]:font-medium [&_[cmdk-group-heading]]:text-2xs [&_[cmdk-group-heading]]:text-faint'

/** Everything that can be reached or done, found by typing. */
export function Palette({ onClose, onHelp }: { onClose: () => void; onHelp: () => void }) {
  const navigate = useNavigate()
  const connect = useConnect()
  const projects = useQuery(queries.projects()).data ?? []
  const you = useQuery(queries.server()).data?.you
  // The first entry is chosen, also when what is listed comes in late.
  const [chosen, setChosen] = useState('')
  const [typed, setTyped] = useState('')
  const top = projects[0] ? `${projects[0].name} overview` : 'projects'
  useEffect(() => {
    if (typed === '') setChosen(top)
  }, [typed, top])
  const item_ = (value: string, icon: ReactNode, label: ReactNode, run: () => void, keys?: string[]) => (
    <Command.Item
      key={value}
      value={value}
      className={item}
      onSelect={() => {
        onClose()
        run()
      }}
    >
      {icon}
      <span className="truncate">{label}</span>
      {keys && (
        <span className="ml-auto flex gap-0.5">
          {keys.map((key) => (
            <Kbd key={key}>{key}</Kbd>
          ))}
        </span>
      )}
    </Command.Item>
  )
  return (
    <Radix.Root open onOpenChange={(open) => !open && onClose()}>
      <Radix.Portal>
        <Radix.Overlay className="fixed inset-0 z-40 animate-fade bg-scrim" />
        <Radix.Content className="fixed inset-x-4 top-[12vh] z-50 mx-auto max-w-xl animate-rise overflow-hidden rounded-xl border border-line bg-raised shadow-float outline-none">
          <Radix.Title className="sr-only">Search and commands</Radix.Title>
          <Radix.Description className="sr-only">Type to find a page, a database or a command</Radix.Description>
          <Command label="Search and commands" loop value={chosen} onValueChange={setChosen}>
            <div className="flex items-center gap-2.5 border-line border-b px-4">
              <Search className="size-4 text-faint" aria-hidden />
              <Command.Input
                autoFocus
                value={typed}
                onValueChange={setTyped}
                placeholder="Find a project, a database, a command…"
                className="h-12 w-full bg-transparent text-base outline-none placeholder:text-faint"
              />
            </div>
            <Command.List className="max-h-[min(26rem,60vh)] overflow-y-auto p-1.5">
              <Command.Empty className="py-10 text-center text-muted text-sm">Nothing by that name.</Command.Empty>
              {projects.map((project) => (
                <Command.Group key={project.id} heading={project.name} className={group}>
                  {item_(`${project.name} overview`, <Boxes />, 'Overview', () =>
                    navigate({ to: '/projects/$project', params: { project: project.name } }),
                  )}
                  {item_(`${project.name} publish`, <Rocket />, 'Publish', () =>
                    navigate({ to: '/projects/$project/publish', params: { project: project.name } }),
                  )}
                  {item_(`${project.name} members people roles`, <Users />, 'Members', () =>
                    navigate({ to: '/projects/$project/members', params: { project: project.name } }),
                  )}
                  {item_(`${project.name} usage cost budgets`, <Gauge />, 'Usage', () =>
                    navigate({ to: '/projects/$project/usage', params: { project: project.name } }),
                  )}
                  {item_(
                    `${project.name} project settings hooks remove`,
                    <SlidersHorizontal />,
                    'Settings of the project',
                    () => navigate({ to: '/projects/$project/settings', params: { project: project.name } }),
                  )}
                  {byImportance(project.branches).flatMap((b) => {
                    const params = { project: b.project, branch: b.name }
                    const name = `${project.name} ${b.name}`
                    return [
                      item_(
                        `${name} open`,
                        <span className="grid size-4 place-items-center">
                          <EnvironmentDot environment={b.environment} />
                        </span>,
                        <>Open {b.name}</>,
                        () => navigate({ to: '/projects/$project/branches/$branch', params }),
                      ),
                      item_(`${name} connect`, <Plug />, <>Connect to {b.name}</>, () => connect(b)),
                      item_(`${name} data rows tables`, <Rows3 />, <>Data of {b.name}</>, () =>
                        navigate({ to: '/projects/$project/branches/$branch/data', params }),
                      ),
                      item_(`${name} structure columns`, <Table2 />, <>Structure of {b.name}</>, () =>
                        navigate({ to: '/projects/$project/branches/$branch/structure', params }),
                      ),
                      item_(`${name} sql query`, <Terminal />, <>SQL on {b.name}</>, () =>
                        navigate({ to: '/projects/$project/branches/$branch/sql', params }),
                      ),
                      item_(`${name} history restore`, <History />, <>History of {b.name}</>, () =>
                        navigate({ to: '/projects/$project/branches/$branch/history', params }),
                      ),
                      item_(`${name} rescue rows bring back`, <LifeBuoy />, <>Bring rows of {b.name} back</>, () =>
                        navigate({ to: '/projects/$project/branches/$branch/rescue', params }),
                      ),
                      item_(`${name} monitoring charts slow`, <Activity />, <>Monitoring of {b.name}</>, () =>
                        navigate({ to: '/projects/$project/branches/$branch/monitoring', params }),
                      ),
                      item_(`${name} settings`, <SlidersHorizontal />, <>Settings of {b.name}</>, () =>
                        navigate({ to: '/projects/$project/branches/$branch/settings', params }),
                      ),
                      item_(`${name} extensions`, <Database />, <>Extensions of {b.name}</>, () =>
                        navigate({ to: '/projects/$project/branches/$branch/extensions', params }),
                      ),
                    ]
                  })}
                </Command.Group>
              ))}
              <Command.Group heading="Go to" className={group}>
                {item_('projects', <Boxes />, 'Projects', () => navigate({ to: '/projects' }), ['g', 'p'])}
                {item_('jobs', <ListChecks />, 'Jobs', () => navigate({ to: '/jobs' }), ['g', 'j'])}
                {item_('activity audit', <ScrollText />, 'Activity', () => navigate({ to: '/activity' }), ['g', 'a'])}
                {you?.admin &&
                  item_('people users', <Users />, 'People', () => navigate({ to: '/people' }), ['g', 'u'])}
                {you?.kind === 'person' &&
                  item_('your account password sessions authenticator', <UserRound />, 'Your account', () =>
                    navigate({ to: '/account' }),
                  )}
                {item_('alerts notifications channels', <BellRing />, 'Alerts', () => navigate({ to: '/alerts' }))}
                {item_('usage cost budgets', <Gauge />, 'Usage', () => navigate({ to: '/usage' }))}
                {item_('backups', <Archive />, 'Backups', () => navigate({ to: '/admin/backups' }), ['g', 'b'])}
                {item_('backups schedules', <CalendarClock />, 'Schedules of backups', () =>
                  navigate({ to: '/admin/backups/schedules' }),
                )}
                {item_('backups destinations locations', <MapPin />, 'Destinations of backups', () =>
                  navigate({ to: '/admin/backups/destinations' }),
                )}
                {item_('removed undelete bring back', <Trash2 />, 'Removed', () => navigate({ to: '/removed' }), [
                  'g',
                  'r',
                ])}
                {item_('tokens', <KeyRound />, 'Tokens', () => navigate({ to: '/tokens' }), ['g', 't'])}
                {item_('server', <Server />, 'Server', () => navigate({ to: '/server' }), ['g', 's'])}
              </Command.Group>
              <Command.Group heading="Do" className={group}>
                {item_('new project create', <Plus />, 'New project', () => navigate({ to: '/new-project' }), ['n'])}
                {item_('theme light dark', <Moon />, 'Change between light and dark', toggleTheme, ['t'])}
                {item_('shortcuts help keyboard', <CircleHelp />, 'Keyboard shortcuts', onHelp, ['?'])}
                {item_('sign out log out', <LogOut />, 'Sign out', () => signOut())}
              </Command.Group>
            </Command.List>
          </Command>
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  )
}
