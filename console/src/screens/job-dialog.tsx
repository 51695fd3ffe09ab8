import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import type { Job } from '@/api/types'
import { Button } from '@/ui/button'
import { Dialog } from '@/ui/dialog'
import { JobProgress } from './job-progress'

/** A job that somebody waits for. Closing does not stop it: it stays among the jobs. */
export function JobDialog({
  id,
  title,
  onClose,
  onEnd,
  children,
}: {
  id: string | null
  title: string
  onClose: () => void
  onEnd?: (job: Job) => void
  children?: ReactNode
}) {
  return (
    <Dialog
      open={id !== null}
      onOpenChange={(open) => !open && onClose()}
      title={title}
      footer={
        <>
          {id !== null && (
            <Button asChild variant="ghost">
              <Link to="/jobs/$id" params={{ id }}>
                Open the job
              </Link>
            </Button>
          )}
          <Button onClick={onClose}>Close</Button>
        </>
      }
    >
      {id !== null && <JobProgress id={id} onEnd={onEnd} />}
      {children}
    </Dialog>
  )
}
