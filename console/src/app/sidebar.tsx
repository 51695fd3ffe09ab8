import { useQuery } from '@tanstack/react-query'
import { Link, type LinkProps, useNavigate, useParams } from '@tanstack/react-router'
import {
  Archive,
  BellRing,
  Boxes,
  Check,
  ChevronsUpDown,
  CircleHelp,
  Gauge,
  GitBranch,
  KeyRound,
  LayoutDashboard,
  ListChecks,
  LogOut,
  Monitor,
  Moon,
  Plus,
  Rocket,
  ScrollText,
  Server,
  SlidersHorizontal,
  Sun,
  Trash2,
  UserRound,
  Users,
  VenetianMask,
} from 'lucide-react'
import type { ReactNode } from 'react'
import { signOut } from '@/api/client'
import { queries } from '@/api/queries'
import { statusQuery } from '@/api/standing'
import { type Branch, isFinal } from '@/api/types'
import { byImportance } from '@/lib/branches'
import { words } from '@/lib/format'
import { Button } from '@/ui/button'
import { cn } from '@/ui/cn'
import { ActivityDot, EnvironmentDot } from '@/ui/environment'
import { Menu, MenuChoice, MenuChoices, MenuContent, MenuItem, MenuLabel, MenuLine, MenuTrigger } from '@/ui/menu'
import { Logo } from './logo'
import { setTheme, type Theme, useShownTheme, useTheme } from './theme'

const row =
  'flex h-8 items-center gap-2 rounded-md px-2 text-muted text-sm hover:bg-hover hover:text-text [&_svg]:size-4 [&_svg]:shrink-0'
const rowActive = 'bg-hover font-medium text-text'

export function Sidebar({ onHelp }: { onHelp: () => void }) {
  const { project } = useParams({ strict: false })
  const jobs = useQuery(queries.jobs()).data
  const admin = useQuery(queries.server()).data?.you.admin ?? false
  const running = jobs?.filter((job) => !isFinal(job)).length ?? 0
  const firing = useQuery(statusQuery()).data?.alerts.length ?? 0
  return (
    <div className="flex h-full flex-col">
      <Link to="/projects" className="flex h-12 items-center gap-2.5 px-4 font-semibold text-base tracking-tight">
        <Logo className="size-6" />
        Holdfast
      </Link>
      <nav aria-label="Main" className="flex-1 overflow-y-auto px-2 pb-4">
        {project !== undefined && <ProjectPart project={project} />}
        <Group title="Installation">
          <Item to="/projects" icon={<Boxes />} exact>
            Projects
          </Item>
          <Item to="/jobs" icon={<ListChecks />}>
            Jobs
            {running > 0 && (
              <span className="ml-auto rounded-full bg-accent-soft px-1.5 font-medium text-2xs text-accent">
                {running}
                <span className="sr-only"> running</span>
              </span>
            )}
          </Item>
          {admin && (
            <>
              <Item to="/activity" icon={<ScrollText />}>
                Activity
              </Item>
              <Item to="/people" icon={<Users />}>
                People
              </Item>
            </>
          )}
          <Item to="/admin/backups" icon={<Archive />}>
            Backups
          </Item>
          <Item to="/alerts" icon={<BellRing />}>
            Alerts
            {firing > 0 && (
              <span className="ml-auto rounded-full bg-warn-soft px-1.5 font-medium text-2xs text-warn">
                {firing}
                <span className="sr-only"> firing</span>
              </span>
            )}
          </Item>
          <Item to="/usage" icon={<Gauge />}>
            Usage
          </Item>
          <Item to="/removed" icon={<Trash2 />}>
            Removed
          </Item>
          <Item to="/tokens" icon={<KeyRound />}>
            Tokens
          </Item>
          <Item to="/server" icon={<Server />}>
            Server
          </Item>
        </Group>
      </nav>
      <Foot onHelp={onHelp} />
    </div>
  )
}

function Group({ title, children }: { title: string; children: ReactNode }) {
  return (
    <div className="mt-3">
      <h2 className="px-2 pb-1 font-medium text-2xs text-faint uppercase tracking-wider">{title}</h2>
      <div className="flex flex-col gap-px">{children}</div>
    </div>
  )
}

function Item({
  to,
  icon,
  exact,
  children,
}: {
  to: LinkProps['to']
  icon: ReactNode
  exact?: boolean
  children: ReactNode
}) {
  return (
    <Link
      to={to}
      className={row}
      activeProps={{ className: rowActive, 'aria-current': 'page' }}
      activeOptions={{ exact: exact ?? false }}
    >
      {icon}
      {children}
    </Link>
  )
}

function ProjectPart({ project }: { project: string }) {
  const projects = useQuery(queries.projects()).data
  const branches = useQuery(queries.project(project)).data?.branches ?? []
  return (
    <>
      <Menu>
        <MenuTrigger asChild>
          <button
            type="button"
            aria-label={`Project ${project}; change project`}
            className="mt-1 flex h-9 w-full items-center gap-2 rounded-md border border-line bg-sunken/60 px-2.5 text-left font-medium text-sm hover:bg-hover"
          >
            <span className="truncate">{project}</span>
            <ChevronsUpDown className="ml-auto size-3.5 shrink-0 text-faint" aria-hidden />
          </button>
        </MenuTrigger>
        <MenuContent align="start" className="w-53">
          <MenuLabel>Projects</MenuLabel>
          {projects?.map((p) => (
            <MenuItem key={p.id} asChild>
              <Link to="/projects/$project" params={{ project: p.name }}>
                <span className="truncate">{p.name}</span>
                {p.name === project && <Check className="ml-auto text-accent!" />}
              </Link>
            </MenuItem>
          ))}
          <MenuLine />
          <MenuItem asChild>
            <Link to="/new-project">
              <Plus /> New project
            </Link>
          </MenuItem>
        </MenuContent>
      </Menu>
      <Group title="Databases">
        <Link
          to="/projects/$project"
          params={{ project }}
          className={row}
          activeProps={{ className: rowActive, 'aria-current': 'page' }}
          activeOptions={{ exact: true }}
        >
          <LayoutDashboard /> Overview
        </Link>
        {byImportance(branches).map((b) => (
          <BranchItem key={b.id} branch={b} />
        ))}
      </Group>
      <Group title="Project">
        <ProjectItem project={project} to="/projects/$project/publish" icon={<Rocket />}>
          Publish
        </ProjectItem>
        <ProjectItem project={project} to="/projects/$project/branches" icon={<GitBranch />}>
          Branches
        </ProjectItem>
        <ProjectItem project={project} to="/projects/$project/masking" icon={<VenetianMask />}>
          Masking
        </ProjectItem>
        <ProjectItem project={project} to="/projects/$project/members" icon={<Users />}>
          Members
        </ProjectItem>
        <ProjectItem project={project} to="/projects/$project/usage" icon={<Gauge />}>
          Usage
        </ProjectItem>
        <ProjectItem project={project} to="/projects/$project/settings" icon={<SlidersHorizontal />}>
          Settings
        </ProjectItem>
      </Group>
    </>
  )
}

function ProjectItem({
  project,
  to,
  icon,
  children,
}: {
  project: string
  to:
    | '/projects/$project/publish'
    | '/projects/$project/branches'
    | '/projects/$project/masking'
    | '/projects/$project/members'
    | '/projects/$project/usage'
    | '/projects/$project/settings'
  icon: ReactNode
  children: ReactNode
}) {
  return (
    <Link
      to={to}
      params={{ project }}
      className={row}
      activeProps={{ className: rowActive, 'aria-current': 'page' }}
      activeOptions={{ exact: true }}
    >
      {icon}
      {children}
    </Link>
  )
}

function BranchItem({ branch }: { branch: Branch }) {
  return (
    <Link
      to="/projects/$project/branches/$branch"
      params={{ project: branch.project, branch: branch.name }}
      className={row}
      activeProps={{
        className: cn(rowActive, branch.environment === 'production' && 'bg-production-soft text-production'),
        'aria-current': 'page',
      }}
    >
      <span className="grid size-4 place-items-center">
        <EnvironmentDot environment={branch.environment} />
      </span>
      <span className={cn('truncate', branch.environment !== 'preview' && 'capitalize')}>{branch.name}</span>
      <span className="ml-auto">
        <ActivityDot activity={branch.activity} />
      </span>
    </Link>
  )
}

function Foot({ onHelp }: { onHelp: () => void }) {
  const server = useQuery(queries.server()).data
  const navigate = useNavigate()
  const theme = useTheme()
  const Icon = useShownTheme() === 'dark' ? Moon : Sun
  return (
    <div className="flex items-center gap-1 border-line border-t p-2">
      <div className="min-w-0 flex-1 px-2">
        <p className="truncate font-medium text-xs">{server?.you.name.replace(/^token /, '') ?? ' '}</p>
        <p className="truncate text-2xs text-faint">
          {server
            ? server.you.admin
              ? 'Administrator'
              : server.you.kind === 'person'
                ? 'Signed in'
                : `${words(server.you.kind)}, may ${server.you.right}`
            : ' '}
        </p>
      </div>
      <Button variant="ghost" size="icon-sm" aria-label="Keyboard shortcuts" onClick={onHelp}>
        <CircleHelp />
      </Button>
      <Menu>
        <MenuTrigger asChild>
          <Button variant="ghost" size="icon-sm" aria-label="Appearance and session">
            <Icon />
          </Button>
        </MenuTrigger>
        <MenuContent align="end" side="top">
          <MenuLabel>Appearance</MenuLabel>
          <MenuChoices value={theme} onValueChange={(value) => setTheme(value as Theme)}>
            <MenuChoice value="light">
              Light <Sun className="ml-auto" />
            </MenuChoice>
            <MenuChoice value="dark">
              Dark <Moon className="ml-auto" />
            </MenuChoice>
            <MenuChoice value="system">
              As the system <Monitor className="ml-auto" />
            </MenuChoice>
          </MenuChoices>
          <MenuLine />
          {server?.you.kind === 'person' && (
            <MenuItem onSelect={() => navigate({ to: '/account' })}>
              <UserRound /> Your account
            </MenuItem>
          )}
          <MenuItem onSelect={() => signOut()}>
            <LogOut /> Sign out
          </MenuItem>
        </MenuContent>
      </Menu>
    </div>
  )
}
