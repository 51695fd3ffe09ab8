import { createContext, useContext } from 'react'
import type { Branch } from '@/api/types'

export type BranchRef = Pick<Branch, 'project' | 'name' | 'environment'>

/** Opens the sheet that says how to connect to a branch, from wherever one is. */
export const ConnectContext = createContext<(branch: BranchRef) => void>(() => {})

export function useConnect() {
  return useContext(ConnectContext)
}
