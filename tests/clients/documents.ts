// The documents of the applications with Apollo Client and urql; the types of results and variables are generated.
import { graphql } from "./__generated__/gql/index.js";

export const LIST = graphql(`
  query List($id: ID!) {
    savedSearch(id: $id) {
      id
      name
      state
      members(first: 50) {
        asOf
        nodes {
          ...Member
        }
      }
    }
  }
`);

export const MEMBER = graphql(`
  fragment Member on SavedSearchMember {
    id
    joinedAt
    cause {
      kind
    }
    email {
      id
      subject
    }
  }
`);

export const CHANGES = graphql(`
  subscription Changes($id: ID!, $after: ChangeCursor) {
    savedSearchChanges(savedSearchId: $id, after: $after) {
      __typename
      ... on Change {
        cursor
      }
      ... on MemberJoined {
        memberId
        member {
          ...Member
        }
      }
      ... on MemberLeft {
        memberId
      }
      ... on SavedSearchUpserted {
        savedSearch {
          id
          name
          state
        }
      }
    }
  }
`);

export const TASKS = graphql(`
  query Tasks {
    tasks(filter: { status: [OPEN] }, first: 50) {
      asOf
      nodes {
        ...Todo
      }
    }
  }
`);

export const TODO = graphql(`
  fragment Todo on Task {
    id
    name
    status
    dueOn
    priority
    person {
      id
      name
    }
  }
`);

export const TASK_CHANGES = graphql(`
  subscription TaskChanges($after: ChangeCursor) {
    taskChanges(after: $after) {
      __typename
      ... on Change {
        cursor
      }
      ... on TaskUpserted {
        taskId
        task {
          ...Todo
        }
      }
      ... on TaskDeleted {
        taskId
      }
    }
  }
`);

export const LISTS = graphql(`
  query Lists($after: String) {
    savedSearches(first: 20, after: $after) {
      asOf
      nodes {
        id
        name
        state
        members(first: 20) {
          nodes {
            ...Member
          }
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`);

export const ALL_CHANGES = graphql(`
  subscription AllChanges($after: ChangeCursor) {
    allSavedSearchChanges(after: $after) {
      __typename
      ... on Change {
        cursor
      }
      ... on MemberJoined {
        savedSearchId
        memberId
        member {
          ...Member
        }
      }
      ... on MemberLeft {
        savedSearchId
        memberId
      }
      ... on SavedSearchUpserted {
        savedSearchId
        savedSearch {
          id
          name
          state
        }
      }
      ... on SavedSearchDeleted {
        savedSearchId
      }
    }
  }
`);

export const FOLDERS = graphql(`
  query Folders {
    folders {
      id
      name
      emailCount
      folders {
        id
        name
        emailCount
      }
    }
  }
`);

export const FOLDER_COUNTS = graphql(`
  subscription FolderCounts {
    folderCounts {
      groups {
        id
        emailCount
      }
      folders {
        id
        emailCount
      }
    }
  }
`);
