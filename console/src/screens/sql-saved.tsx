import { useQueryClient } from '@tanstack/react-query'
import { Bookmark, Trash2 } from 'lucide-react'
import { useState } from 'react'
import { toast } from 'sonner'
import { data } from '@/api/data'
import { asProblem } from '@/api/problem'
import { Button } from '@/ui/button'
import { Menu, MenuContent, MenuItem, MenuLabel, MenuLine, MenuTrigger } from '@/ui/menu'
import { KeepDialog, useKeptItems } from './data-views'

/** The queries that the person keeps on the server for a project. */
export function SavedMenu({
  project,
  sql,
  onChoose,
}: {
  project: string
  sql: string
  onChoose: (sql: string) => void
}) {
  const client = useQueryClient()
  const [naming, setNaming] = useState(false)
  const kept = (useKeptItems(project).data ?? []).filter((k) => k.kind === 'query')
  const reread = () => client.invalidateQueries({ queryKey: ['kept', project] })
  const forget = async (id: string) => {
    try {
      await data.forget(project, id)
      await reread()
    } catch (thrown) {
      toast.error(asProblem(thrown).message)
    }
  }
  return (
    <>
      <Menu>
        <MenuTrigger asChild>
          <Button variant="ghost">
            <Bookmark /> Saved
          </Button>
        </MenuTrigger>
        <MenuContent align="start" className="max-h-96 w-80 max-w-[90vw] overflow-y-auto">
          <MenuLabel>Kept for you in this project</MenuLabel>
          {kept.map((k) => (
            <MenuItem key={k.id} onSelect={() => onChoose(k.body)}>
              <span className="min-w-0 truncate">{k.name}</span>
            </MenuItem>
          ))}
          {kept.length > 0 && <MenuLine />}
          <MenuItem disabled={sql.trim() === ''} onSelect={() => setNaming(true)}>
            Keep this query…
          </MenuItem>
          {kept.map((k) => (
            <MenuItem key={k.id} danger onSelect={() => forget(k.id)}>
              <Trash2 /> Forget {k.name}
            </MenuItem>
          ))}
        </MenuContent>
      </Menu>
      {naming && (
        <KeepDialog
          title="Keep this query"
          about="What is in the editor, or what is selected of it."
          onClose={() => setNaming(false)}
          onKeep={async (name) => {
            await data.keep(project, { kind: 'query', name, body: sql })
            await reread()
          }}
        />
      )}
    </>
  )
}
