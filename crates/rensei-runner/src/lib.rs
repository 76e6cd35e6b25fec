//! One session: workarea, agent runtime, activities, commit, push, one result
