import type { QueryClient } from '@tanstack/react-query'
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from '@tanstack/react-router'
import { askAhead, askTablesAhead } from '@/api/catalogue'
import { session } from '@/api/session'
import { FailedScreen, MissingScreen } from '@/screens/missing'
import { safeReturnPath } from './return-path'
import { Shell } from './shell'

const root = createRootRouteWithContext<{ client: QueryClient }>()({
  component: Outlet,
  notFoundComponent: MissingScreen,
  errorComponent: FailedScreen,
})

const setup = createRoute({
  getParentRoute: () => root,
  path: '/setup',
  component: lazyRouteComponent(() => import('@/screens/setup'), 'SetupScreen'),
})

const join = createRoute({
  getParentRoute: () => root,
  path: '/join',
  component: lazyRouteComponent(() => import('@/screens/setup'), 'JoinScreen'),
})

const login = createRoute({
  getParentRoute: () => root,
  path: '/login',
  validateSearch: (search: Record<string, unknown>): { to?: string; oidc?: 'done' | 'code' | 'refused' } => {
    const to = safeReturnPath(search.to)
    const oidc = (['done', 'code', 'refused'] as const).find((word) => word === search.oidc)
    return { ...(to !== '/projects' && { to }), ...(oidc && { oidc }) }
  },
  component: lazyRouteComponent(() => import('@/screens/login'), 'LoginScreen'),
})

/** Everything behind this asks who is there first. */
const inside = createRoute({
  getParentRoute: () => root,
  id: 'inside',
  component: Shell,
  beforeLoad: ({ location }) => {
    if (session.token() === null) throw redirect({ to: '/login', search: { to: location.href } })
  },
})

const home = createRoute({
  getParentRoute: () => inside,
  path: '/',
  beforeLoad: () => {
    throw redirect({ to: '/projects', replace: true })
  },
})

const projects = createRoute({
  getParentRoute: () => inside,
  path: '/projects',
  component: lazyRouteComponent(() => import('@/screens/projects'), 'ProjectsScreen'),
})

const newProject = createRoute({
  getParentRoute: () => inside,
  path: '/new-project',
  validateSearch: (search: Record<string, unknown>): { job?: string } =>
    typeof search.job === 'string' ? { job: search.job } : {},
  component: lazyRouteComponent(() => import('@/screens/new-project'), 'NewProjectScreen'),
})

const project = createRoute({
  getParentRoute: () => inside,
  path: '/projects/$project',
  component: lazyRouteComponent(() => import('@/screens/project'), 'ProjectScreen'),
})

const branch = createRoute({
  getParentRoute: () => inside,
  path: '/projects/$project/branches/$branch',
  // Nobody waits for it: it is asked for while the screen is still being loaded. A pointer above a link asks for nothing.
  loader: ({ context, params, cause }) => {
    if (cause === 'enter') void askAhead(context.client, params.project)
  },
  component: lazyRouteComponent(() => import('@/screens/branch'), 'BranchScreen'),
})

const branchList = createRoute({
  getParentRoute: () => inside,
  path: '/projects/$project/branches',
  component: lazyRouteComponent(() => import('@/screens/branches'), 'BranchesScreen'),
})

const masking = createRoute({
  getParentRoute: () => inside,
  path: '/projects/$project/masking',
  component: lazyRouteComponent(() => import('@/screens/masking'), 'MaskingScreen'),
})

const publishes = createRoute({
  getParentRoute: () => inside,
  path: '/projects/$project/publish',
  component: lazyRouteComponent(() => import('@/screens/publishes'), 'PublishesScreen'),
})

const publish = createRoute({
  getParentRoute: () => inside,
  path: '/projects/$project/publish/$number',
  component: lazyRouteComponent(() => import('@/screens/publish'), 'PublishScreen'),
})

const members = createRoute({
  getParentRoute: () => inside,
  path: '/projects/$project/members',
  component: lazyRouteComponent(() => import('@/screens/members'), 'MembersScreen'),
})

const people = createRoute({
  getParentRoute: () => inside,
  path: '/people',
  component: lazyRouteComponent(() => import('@/screens/people'), 'PeopleScreen'),
})

const account = createRoute({
  getParentRoute: () => inside,
  path: '/account',
  component: lazyRouteComponent(() => import('@/screens/account'), 'AccountScreen'),
})

const projectUsage = createRoute({
  getParentRoute: () => inside,
  path: '/projects/$project/usage',
  component: lazyRouteComponent(() => import('@/screens/usage'), 'ProjectUsage'),
})

const usage = createRoute({
  getParentRoute: () => inside,
  path: '/usage',
  component: lazyRouteComponent(() => import('@/screens/usage'), 'InstallationUsage'),
})

const alerts = createRoute({
  getParentRoute: () => inside,
  path: '/alerts',
  component: lazyRouteComponent(() => import('@/screens/alerts'), 'AlertsScreen'),
})

const projectSettings = createRoute({
  getParentRoute: () => inside,
  path: '/projects/$project/settings',
  component: lazyRouteComponent(() => import('@/screens/project-settings'), 'ProjectSettings'),
})

const removed = createRoute({
  getParentRoute: () => inside,
  path: '/removed',
  component: lazyRouteComponent(() => import('@/screens/removed'), 'RemovedScreen'),
})

/** Which moment a screen about the past begins with, when it begins with one. */
const ofMoment = (search: Record<string, unknown>): { at?: string } =>
  typeof search.at === 'string' ? { at: search.at } : {}

const overview = createRoute({
  getParentRoute: () => branch,
  path: '/',
  component: lazyRouteComponent(() => import('@/screens/branch-overview'), 'BranchOverview'),
})

const settings = createRoute({
  getParentRoute: () => branch,
  path: '/settings',
  component: lazyRouteComponent(() => import('@/screens/branch-settings'), 'BranchSettings'),
})

/** Which table a screen about tables is about, as in SQL. */
const ofTable = (search: Record<string, unknown>): { table?: string } =>
  typeof search.table === 'string' ? { table: search.table } : {}

const data = createRoute({
  getParentRoute: () => branch,
  path: '/data',
  validateSearch: ofTable,
  loader: ({ context, params, cause }) => {
    if (cause === 'enter') void askTablesAhead(context.client, params.project, params.branch)
  },
  component: lazyRouteComponent(() => import('@/screens/data'), 'BranchData'),
})

const structure = createRoute({
  getParentRoute: () => branch,
  path: '/structure',
  validateSearch: ofTable,
  component: lazyRouteComponent(() => import('@/screens/structure'), 'BranchStructure'),
})

const moments = createRoute({
  getParentRoute: () => branch,
  path: '/history',
  validateSearch: ofMoment,
  component: lazyRouteComponent(() => import('@/screens/history'), 'BranchHistory'),
})

const monitoring = createRoute({
  getParentRoute: () => branch,
  path: '/monitoring',
  component: lazyRouteComponent(() => import('@/screens/monitoring'), 'BranchMonitoring'),
})

const rescue = createRoute({
  getParentRoute: () => branch,
  path: '/rescue',
  validateSearch: ofMoment,
  component: lazyRouteComponent(() => import('@/screens/rescue'), 'BranchRescue'),
})

const sql = createRoute({
  getParentRoute: () => branch,
  path: '/sql',
  component: lazyRouteComponent(() => import('@/screens/sql'), 'BranchSQL'),
})

const extensions = createRoute({
  getParentRoute: () => branch,
  path: '/extensions',
  component: lazyRouteComponent(() => import('@/screens/branch-extensions'), 'BranchExtensions'),
})

const jobs = createRoute({
  getParentRoute: () => inside,
  path: '/jobs',
  component: lazyRouteComponent(() => import('@/screens/jobs'), 'JobsScreen'),
})

const job = createRoute({
  getParentRoute: () => inside,
  path: '/jobs/$id',
  component: lazyRouteComponent(() => import('@/screens/job'), 'JobScreen'),
})

const activity = createRoute({
  getParentRoute: () => inside,
  path: '/activity',
  component: lazyRouteComponent(() => import('@/screens/activity'), 'ActivityScreen'),
})

const tokens = createRoute({
  getParentRoute: () => inside,
  path: '/tokens',
  component: lazyRouteComponent(() => import('@/screens/tokens'), 'TokensScreen'),
})

/** Which branch a screen about backups is about, when it is about one. */
const ofBranch = (search: Record<string, unknown>): { branch?: string } =>
  typeof search.branch === 'string' ? { branch: search.branch } : {}

const backups = createRoute({
  getParentRoute: () => inside,
  path: '/admin/backups',
  validateSearch: ofBranch,
  component: lazyRouteComponent(() => import('@/screens/backups'), 'BackupsScreen'),
})

const schedules = createRoute({
  getParentRoute: () => inside,
  path: '/admin/backups/schedules',
  validateSearch: ofBranch,
  component: lazyRouteComponent(() => import('@/screens/schedules'), 'SchedulesScreen'),
})

const destinations = createRoute({
  getParentRoute: () => inside,
  path: '/admin/backups/destinations',
  validateSearch: (search: Record<string, unknown>): { project?: string } =>
    typeof search.project === 'string' ? { project: search.project } : {},
  component: lazyRouteComponent(() => import('@/screens/destinations'), 'DestinationsScreen'),
})

const backup = createRoute({
  getParentRoute: () => inside,
  path: '/admin/backups/$backup',
  component: lazyRouteComponent(() => import('@/screens/backup-detail'), 'BackupScreen'),
})

const server = createRoute({
  getParentRoute: () => inside,
  path: '/server',
  component: lazyRouteComponent(() => import('@/screens/server'), 'ServerScreen'),
})

const tree = root.addChildren([
  setup,
  join,
  login,
  inside.addChildren([
    home,
    projects,
    newProject,
    project,
    branchList,
    masking,
    publishes,
    publish,
    members,
    people,
    account,
    projectSettings,
    projectUsage,
    usage,
    alerts,
    removed,
    branch.addChildren([overview, data, structure, sql, moments, rescue, monitoring, settings, extensions]),
    jobs,
    job,
    activity,
    tokens,
    backups,
    schedules,
    destinations,
    backup,
    server,
  ]),
])

export function newRouter(client: QueryClient) {
  return createRouter({ routeTree: tree, context: { client }, defaultPreload: 'intent', scrollRestoration: false })
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof newRouter>
  }
}
