import { Link } from '@tanstack/react-router'
import { Compass } from 'lucide-react'
import { Button } from '@/ui/button'
import { Empty, ErrorNotice } from '@/ui/pieces'

export function MissingScreen() {
  return (
    <Empty
      icon={Compass}
      title="There is no such page"
      action={
        <Button asChild variant="primary">
          <Link to="/projects">Go to the projects</Link>
        </Button>
      }
    >
      The address may be mistyped, or what it named is gone.
    </Empty>
  )
}

export function FailedScreen({ error }: { error: unknown }) {
  return (
    <div className="mx-auto max-w-xl p-6">
      <ErrorNotice error={error}>
        <Button size="sm" onClick={() => location.reload()}>
          Load the page again
        </Button>
      </ErrorNotice>
    </div>
  )
}
