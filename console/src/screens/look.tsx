import { Link } from '@tanstack/react-router'
import { Eye } from 'lucide-react'
import { useEffect } from 'react'
import { branches as api } from '@/api/branches'
import type { Branch } from '@/api/types'
import { moment } from '@/lib/format'
import { lookOf } from '@/lib/moments'
import { Empty, Notice, Panel } from '@/ui/pieces'

/** Keeps a look while the page shows it. A sleeping one is not woken by that. */
export function useKeptLook(project: string, name: string | null): void {
  useEffect(() => {
    if (name === null) return
    // One that cannot be kept is gone, and whoever reads it is told.
    const keep = () => api.keepLook(project, name).catch(() => {})
    keep()
    const timer = setInterval(keep, 10_000)
    // The browser lets the clocks of hidden pages go slowly.
    document.addEventListener('visibilitychange', keep)
    return () => {
      clearInterval(timer)
      document.removeEventListener('visibilitychange', keep)
    }
  }, [project, name])
}

function ToHistory({ project, name }: { project: string; name: string }) {
  const look = lookOf(name)
  if (!look) return null
  return (
    <Link
      to="/projects/$project/branches/$branch/history"
      params={{ project, branch: look.parent }}
      search={{ at: moment(look.at) }}
      className="text-accent hover:underline"
    >
      Back to the history of {look.parent}
    </Link>
  )
}

/** Stands above a look: of what and when it is, and the way back. */
export function LookBar({ branch }: { branch: Branch }) {
  useKeptLook(branch.project, branch.name)
  const look = lookOf(branch.name)
  return (
    <div className="mb-4">
      <Notice tone="accent" icon={Eye}>
        <span>
          {look ? `${look.parent} as it was at ${moment(look.at)}. ` : 'A moment of the past. '}A read-only copy: it
          goes half a minute after you leave it.
        </span>
        <ToHistory project={branch.project} name={branch.name} />
      </Notice>
    </div>
  )
}

/** What is shown in the place of a look that nobody used for a while. */
export function LookIsOver({ project, name }: { project: string; name: string }) {
  const look = lookOf(name)
  return (
    <Panel>
      <Empty icon={Eye} title="This look is over" action={<ToHistory project={project} name={name} />}>
        Nobody used it for half a minute. {look && `The moment ${moment(look.at)} can be looked at again.`}
      </Empty>
    </Panel>
  )
}
